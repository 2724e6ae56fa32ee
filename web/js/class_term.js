// Editing a class expression as text: the term at the caret, the classes that match it, and its replacement.

// Those of all scripts, as in Python (models/names.py).
const COMMAS = "，、﹐،"
const COLONS = "：﹕︓∶"
const DASHES = "‐‑‒–—―−﹣－"
const QUOTES = "‘’‚‛ʼ′＇“”„‟″＂«»"
const COMMA = new RegExp(`[,${COMMAS}]`)
const COLON = new RegExp(`[:${COLONS}]`)
const LAST_TERM = new RegExp(`[^,${COMMAS}]*$`)
const TERM = new RegExp(`^(\\s*[${DASHES}-]?\\s*)(.*?)(\\s*(?:[:${COLONS}][^:${COLONS}]*)?)$`, "s")
const IGNORED = new RegExp(`[\\s_'"\u00ad\u200b-\u200f\u2060\ufeff${DASHES}${QUOTES}-]+`, "g")

/** The term of `text` that holds the caret, without its minus and its weight. */
export function termAt(text, caret) {
    const start = text.slice(0, caret).search(LAST_TERM)
    const comma = nextComma(text, caret)
    const term = text.slice(start, comma < 0 ? text.length : comma)
    const [, before, name, after] = term.match(TERM)
    const from = start + before.length
    const colon = after.search(COLON)
    return { name, from, to: from + name.length, inWeight: colon >= 0 && caret > from + name.length + colon }
}

/** `text` with another name in the term that holds the caret, and the caret behind that term. */
export function withName(text, caret, name) {
    const { from, to } = termAt(text, caret)
    const space = COMMA.test(text[from - 1] ?? "") ? " " : ""
    const changed = text.slice(0, from) + space + name + text.slice(to)
    const comma = nextComma(changed, from + space.length + name.length)
    return { text: changed, caret: comma < 0 ? changed.length : comma }
}

/** The classes, each a list of names, that have `name` in one of theirs: the nearest first. */
export function matching(classes, name) {
    const wanted = plain(name)
    if (!wanted) return classes
    const ranked = classes.map((names) => [rank(names, wanted), names]).filter(([rank]) => rank < NO_MATCH)
    // Shorter names first: a tiger before a tiger shark.
    const order = ([one, [a]], [other, [b]]) => one - other || a.length - b.length
    return ranked.sort(order).map(([, names]) => names)
}

/** Whether `name` is the first name of the class. */
export const isNamed = (names, name) => plain(names[0]) === plain(name)

const NO_MATCH = 6

function rank(names, wanted) {
    const ranks = names.map((name, index) => {
        const place = plain(name).indexOf(wanted)
        if (place < 0) return NO_MATCH
        const nearness = plain(name) === wanted ? 0 : place === 0 ? 2 : 4
        return nearness + (index > 0 ? 1 : 0)
    })
    return Math.min(...ranks)
}

function nextComma(text, from) {
    const comma = text.slice(from).search(COMMA)
    return comma < 0 ? comma : from + comma
}

// The same comparison as in Python (models/names.py): case, Unicode form, spaces, underscores, hyphens and quotes do not
// count.
const plain = (name) => name.normalize("NFKC").replace(IGNORED, "").toLowerCase()
