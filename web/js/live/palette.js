// The right side: what to paint with.

import { isNamed, matching } from "../class_term.js"
import { classPicture } from "../class_picture.js"
import { element, readable } from "./elements.js"
import { FeatureList } from "./features.js"
import { settings } from "./settings.js"
import { SlowPictures } from "./slow_pictures.js"

const TABS = [
    ["class", "Classes"],
    ["feature", "Features"],
    ["colour", "Colour"],
]
const LIGHT = ["#f4f1ea", "#d9b98c", "#b5533c", "#e09f3e", "#5d7a3a", "#2f6b5b"]
const DARK = ["#3f7fb5", "#26355c", "#7a4f86", "#5b4636", "#8b8b8b", "#1b1b1d"]

export class Palette {
    /** @param pictureOf gives the URL of the picture of a `feature` or a `class`, by its number; it may take its time. */
    constructor(pictureOf) {
        Object.assign(this, { classes: [], sheet: null, typed: "" })
        this.classPictures = new SlowPictures((number) => pictureOf("class", number))
        this.features = new FeatureList((number) => pictureOf("feature", number), (name) => this.classButton(name))
        this.tabs = new Map(TABS.map(([name, label]) => [name, this.tab(name, label)]))
        this.panels = new Map([
            ["class", this.classPanel()],
            ["feature", this.features.root],
            ["colour", this.colourPanel()],
        ])
        const tabs = element("div", { className: "tabs", role: "tablist", ariaLabel: "Palette" }, ...this.tabs.values())
        this.root = element("aside", { className: "right", ariaLabel: "Palette" }, tabs, ...this.panels.values())
        for (const [name, panel] of this.panels) {
            Object.assign(panel, { id: `robust-live-${name}`, role: "tabpanel" })
            panel.setAttribute("aria-labelledby", `robust-live-tab-${name}`)
            this.tabs.get(name).setAttribute("aria-controls", panel.id)
        }
        this.shown = this.panels.has(settings.brush) ? settings.brush : "class"
        this.refresh = () => this.changed()
        settings.addEventListener("change", this.refresh)
        Object.assign(this, { brush: settings.brush, tool: settings.tool })
        this.show()
    }

    /** The classes of the classifier, as `fetchClasses` gives them. */
    fill({ classes, message, sheet }) {
        this.classPictures.forget()
        Object.assign(this, { classes, sheet, message })
        const { what } = settings
        const known = classes.some((names) => isNamed(names, what.class)) || /[,:]/.test(what.class)
        if (classes.length && !known) settings.change({ what: { ...what, class: classes[0][0] } })
        this.list()
    }

    /** The painting is open. */
    begin() {
        this.classPictures.begin()
    }

    /** What the eyedropper has found. */
    found(answer) {
        this.features.show(answer)
        this.open("feature")
    }

    open(name) {
        this.shown = name
        this.show()
    }

    close() {
        settings.removeEventListener("change", this.refresh)
        this.features.close()
        this.classPictures.close()
    }

    changed() {
        // A brush that was taken shows what it can paint.
        const { brush, tool } = settings
        if (brush !== this.brush && this.panels.has(brush)) this.shown = brush
        else if (tool !== this.tool && this.panels.has(tool)) this.shown = tool
        Object.assign(this, { brush, tool })
        this.show()
    }

    show() {
        for (const [name, tab] of this.tabs) {
            tab.ariaSelected = String(name === this.shown)
            tab.tabIndex = name === this.shown ? 0 : -1
            this.panels.get(name).hidden = name !== this.shown
        }
        if (document.activeElement !== this.mix) this.mix.value = settings.what.class
        this.colour.value = settings.colour
        this.hex.textContent = settings.colour
        for (const button of this.grid.children) this.mark(button)
        this.features.mark()
    }

    tab(name, label) {
        const tab = element("button", { type: "button", role: "tab", textContent: label })
        tab.id = `robust-live-tab-${name}`
        tab.addEventListener("click", () => {
            this.open(name)
            settings.paintWith(name)
        })
        tab.addEventListener("keydown", (event) => {
            const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key]
            if (!step) return
            const names = [...this.tabs.keys()]
            const next = this.tabs.get(names[(names.indexOf(name) + step + names.length) % names.length])
            next.click()
            next.focus()
        })
        return tab
    }

    classPanel() {
        this.mix = element("input", { type: "text", className: "mix", placeholder: "sea:0.7, mountain:0.3" })
        Object.assign(this.mix, { spellcheck: false, autocomplete: "off", maxLength: 500 })
        this.mix.addEventListener("input", () => this.take(this.mix.value))
        this.search = element("input", { type: "search", placeholder: "Search", ariaLabel: "Search classes" })
        this.search.addEventListener("input", () => {
            this.typed = this.search.value
            this.list()
        })
        this.search.addEventListener("keydown", (event) => {
            if (event.key !== "Enter") return
            this.grid.querySelector("button")?.click()
            // Next is painting.
            this.root.closest("dialog").querySelector(".stage").focus()
        })
        this.grid = element("div", { className: "grid", role: "group", ariaLabel: "Classes" })
        this.note = element("p", { className: "note", role: "status" })
        const field = element("label", { className: "field" }, "Class or mix", this.mix)
        return element("section", { className: "panel" }, field, this.search, this.note, this.grid)
    }

    colourPanel() {
        this.colour = element("input", { type: "color", ariaLabel: "Colour" })
        this.hex = element("code")
        this.colour.addEventListener("input", () => settings.paintWith("colour", { colour: this.colour.value }))
        const swatches = [...LIGHT, ...DARK].map((colour) => {
            const swatch = element("button", { type: "button", className: "swatch", title: colour })
            swatch.ariaLabel = `Colour ${colour}`
            swatch.style.background = colour
            swatch.addEventListener("click", () => settings.paintWith("colour", { colour }))
            return swatch
        })
        const chosen = element("div", { className: "chosen" }, this.colour, this.hex)
        const hint = element("p", { className: "note", textContent: "Alt and a press takes a colour from the picture." })
        const grid = element("div", { className: "swatches" }, ...swatches)
        return element("section", { className: "panel" }, chosen, grid, hint)
    }

    list() {
        const rows = this.typed.trim() ? matching(this.classes, this.typed) : this.classes
        this.grid.replaceChildren(...rows.map(([name]) => this.classButton(name)))
        const none = this.classes.length ? `No class is called "${this.typed.trim()}".` : (this.message ?? "")
        this.note.textContent = rows.length ? "" : none
    }

    classButton(name) {
        const index = this.classes.findIndex(([first]) => first === name)
        const names = this.classes[index] ?? [name]
        const title = `${names.join(", ")}\nShift: add it to the mix`
        const button = element("button", { type: "button", className: "tile", title, data: { class: name } })
        if (index >= 0) {
            if (this.sheet) button.append(classPicture(this.sheet, this.classes.length, index))
            else button.append(this.classPictures.picture(index))
        }
        button.append(element("span", { className: "name", textContent: readable(name) }))
        const taken = (shiftKey) => (shiftKey ? added(settings.what.class, name) : name)
        button.addEventListener("click", ({ shiftKey }) => this.take(taken(shiftKey)))
        this.mark(button)
        return button
    }

    mark(button) {
        button.ariaPressed = String(termsOf(settings.what.class).some((term) => isNamed([term], button.dataset.class)))
    }

    take(expression) {
        settings.paintWith("class", { what: { ...settings.what, class: expression } })
    }
}

const termsOf = (expression) => expression.split(",").map((term) => term.split(":")[0].trim())

/** A mix with one class more, all of them alike. */
function added(expression, name) {
    const terms = termsOf(expression).filter(Boolean)
    return terms.includes(name) ? expression : [...terms, name].map((term) => `${term}:1`).join(", ")
}
