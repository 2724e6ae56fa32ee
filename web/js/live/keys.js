// The keys of the dialog. None of them reaches the graph.

import { settings } from "./settings.js"
import { TOOLS } from "./tools.js"

/**
 * @param dialog the element.
 * @param act what the keys do: `undo`, `redo`, `fit`, `actual`, `zoomIn`, `zoomOut`, `fill`, `escape`, `before(shown)`,
 *     `hold(keys)`, `paste(event)`.
 * @param signal ends the listening.
 */
export function listenToKeys(dialog, act, signal) {
    const listeners = {
        keydown: (event) => pressed(event, act),
        keyup: (event) => released(event, act),
        keypress: (event) => event.stopPropagation(),
        copy: (event) => event.stopPropagation(),
        cut: (event) => event.stopPropagation(),
        paste: (event) => {
            event.stopPropagation()
            act.paste(event)
        },
    }
    for (const [name, listener] of Object.entries(listeners)) {
        dialog.addEventListener(name, listener)
        // Where nothing has the focus, the page gets the keys.
        const outside = (event) => dialog.contains(event.target) || listener(event)
        addEventListener(name, outside, { capture: true, signal })
    }
}

function pressed(event, act) {
    event.stopPropagation()
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key
    if (key === "Escape") {
        event.preventDefault()
        return event.repeat || cleared(event.target) || act.escape()
    }
    const command = event.ctrlKey || event.metaKey
    if (isText(event.target)) return
    if (command) return commanded(event, key, act)
    if (key === "Alt") {
        // Else the browser's menu takes the focus.
        event.preventDefault()
        return act.hold({ alt: true })
    }
    const isButton = event.target.matches?.("button, input, [role=tab]")
    if (isButton && [" ", "Enter", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].includes(key)) return
    plain(event, key, act)
}

function released(event, act) {
    event.stopPropagation()
    if (event.key === " ") act.hold({ space: false })
    else if (event.key === "Alt") act.hold({ alt: false })
    else if (event.key.toLowerCase() === "x") act.before(false)
}

function commanded(event, key, act) {
    // The browser's own zoom, reload and tabs stay.
    if (key === "z") act[event.shiftKey ? "redo" : "undo"]()
    else if (key === "y" && !event.shiftKey) act.redo()
    else if (["s", "o"].includes(key)) return event.preventDefault()
    else return
    event.preventDefault()
}

function plain(event, key, act) {
    const tool = TOOLS[Number(key) - 1]
    if (key === "[" || key === "]") settings.resize(key === "[" ? -1 : 1)
    else if (event.repeat) return key === " " && event.preventDefault()
    else if (tool) settings.choose(tool[0])
    else if (key === " ") act.hold({ space: true })
    else if (key === "m") settings.change({ mirrored: !settings.mirrored })
    else if (key === "x") act.before(true)
    else if (key === "f") act.fit()
    else if (key === "0") act.actual()
    else if (key === "+" || key === "=") act.zoomIn()
    else if (key === "-") act.zoomOut()
    else if (key === "Enter") act.fill()
    else return
    event.preventDefault()
}

/** Whether there was a search to empty. */
function cleared(field) {
    if (field.type !== "search" || !field.value) return false
    field.value = ""
    return field.dispatchEvent(new Event("input", { bubbles: true }))
}

const isText = (target) => target.matches?.("input:not([type=range], [type=color]), textarea")
