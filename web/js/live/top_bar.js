// The upper side: what is done to the whole picture.

import { element, iconButton } from "./elements.js"

const MAC = navigator.platform.startsWith("Mac")
const key = (keys) => (MAC ? keys.replace("Ctrl+", "⌘").replace("Shift+", "⇧") : keys)

export class TopBar {
    /** @param press what each button does: `undo`, `redo`, `zoomOut`, `zoomIn`, `actual`, `fit`, ... */
    constructor(press) {
        const make = (icon, label, action, options) => iconButton(icon, label, press[action], options)
        this.undo = make("undo", "Undo", "undo", { key: key("Ctrl+Z") })
        this.redo = make("redo", "Redo", "redo", { key: key("Shift+Ctrl+Z") })
        this.percent = element("button", { type: "button", className: "percent", title: "Actual size (0)" })
        this.percent.addEventListener("click", press.actual)
        this.before = make("before", "Before", null, { key: "hold X", wide: true, className: "toggle" })
        this.fill = make("fill", "Fill all", "fill", { key: "Enter", wide: true })
        this.deselect = make("deselect", "Deselect", "deselect", { key: "Esc" })
        this.start = make("new", "New", "start", { wide: true })
        this.export = make("export", "Export PNG", "export")
        this.done = make("done", "Done", "done", { key: "Esc", wide: true, className: "primary" })
        const title = element("h1", { id: "robust-live-title", textContent: "Live Canvas" })
        const zoomOut = make("minus", "Zoom out", "zoomOut", { key: "-" })
        const zoomIn = make("plus", "Zoom in", "zoomIn", { key: "+" })
        const fit = make("fit", "Fit", "fit", { key: "F" })
        const groups = [
            [this.undo, this.redo],
            [zoomOut, this.percent, zoomIn, fit],
            [this.before],
            [this.fill, this.deselect],
            [this.start, this.export],
        ]
        this.root = element("header", { className: "top" }, title)
        this.root.append(...groups.map((buttons) => element("div", { className: "group" }, ...buttons)))
        this.root.append(element("span", { className: "space" }), this.done)
        this.holds(press.before)
        this.disabled = (open) => {
            for (const button of [zoomOut, this.percent, zoomIn, fit, this.before, this.fill, this.export]) {
                button.disabled = !open
            }
        }
        this.show({ open: false, undo: 0, redo: 0, selected: false })
        this.zoom(1)
    }

    /** By the pointer and by the keyboard: the picture before is shown for as long as the button is held. */
    holds(show) {
        const begin = ["pointerdown", "keydown"]
        const end = ["pointerup", "pointercancel", "pointerleave", "keyup", "blur"]
        const isPress = (event) => !event.type.startsWith("key") || [" ", "Enter"].includes(event.key)
        for (const name of begin) this.before.addEventListener(name, (event) => isPress(event) && show(true))
        for (const name of end) this.before.addEventListener(name, (event) => isPress(event) && show(false))
    }

    show({ open, undo, redo, selected }) {
        this.disabled(open)
        this.undo.disabled = !open || !undo
        this.redo.disabled = !open || !redo
        const label = selected ? "Fill selection" : "Fill all"
        this.fill.querySelector("span").textContent = label
        this.fill.ariaLabel = label
        this.fill.title = `${label} (Enter). Hold it, and it goes on growing.`
        this.deselect.hidden = !selected
    }

    zoom(scale) {
        const shown = `${Math.round(scale * devicePixelRatio * 100)} %`
        this.percent.textContent = shown
        this.percent.ariaLabel = `Zoom ${shown}. Show actual size`
    }
}
