// A list of classes under a text field (the ARIA combobox pattern); the field stays free text.

import { classPicture } from "./class_picture.js"
import { isNamed, matching, termAt, withName } from "./class_term.js"

const GAP = 2
const TALLEST = 320
const NARROWEST = 240

document.head.append(
    Object.assign(document.createElement("link"), {
        rel: "stylesheet",
        href: new URL("./class_picker.css", import.meta.url).href,
    }),
)

let lists = 0

export class ClassList {
    /**
     * @param field the text field.
     * @param ask called at each opening, with a function that it hands what `fetchClasses` gives, once or more.
     */
    constructor(field, ask) {
        Object.assign(this, { field, ask, classes: [], message: "", sheet: null, rows: [], active: -1 })
        this.id = `robust-classes-${++lists}`
        this.opened = false
        this.picking = false
        this.gone = new AbortController()
        const { signal } = this.gone
        const attributes = { role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false" }
        for (const [name, value] of Object.entries(attributes)) field.setAttribute(name, value)
        field.autocomplete = "off"
        field.spellcheck = false
        field.addEventListener("input", () => this.picking || this.open(true), { signal })
        field.addEventListener("click", () => this.open(), { signal })
        field.addEventListener("keydown", (event) => this.pressed(event), { signal })
        field.addEventListener("blur", () => this.close(), { signal })
    }

    detach() {
        this.close()
        this.gone.abort()
    }

    /** Show the classes: all of them, or those that match what was typed. */
    open(typed = false) {
        this.typed = typed
        if (!this.opened) {
            this.opened = true
            this.build()
            this.ask((answer) => {
                const { classes, message, sheet } = this
                // The same once more must not take the mark from the row that was reached by then.
                const same = JSON.stringify({ classes, message, sheet }) === JSON.stringify(answer)
                Object.assign(this, answer)
                if (this.opened && !same) this.fill()
            })
            this.watch()
        }
        this.fill()
    }

    close() {
        if (!this.opened) return
        this.opened = false
        cancelAnimationFrame(this.frame)
        this.popup.remove()
        this.field.setAttribute("aria-expanded", "false")
        this.field.removeAttribute("aria-controls")
        this.field.removeAttribute("aria-activedescendant")
    }

    build() {
        this.popup = Object.assign(document.createElement("div"), { className: "robust-classes" })
        this.list = Object.assign(document.createElement("ul"), { id: this.id, role: "listbox", ariaLabel: "Classes" })
        this.note = Object.assign(document.createElement("div"), { className: "robust-classes-note", role: "status" })
        this.popup.append(this.list, this.note)
        // Without these the wheel zooms the graph, and a press takes the focus from the field.
        this.popup.dataset.captureWheel = "true"
        this.popup.addEventListener("wheel", (event) => event.stopPropagation())
        this.popup.addEventListener("pointerdown", (event) => event.stopPropagation())
        this.popup.addEventListener("mousedown", (event) => event.preventDefault())
        this.list.addEventListener("click", ({ target }) => {
            const index = [...this.list.children].indexOf(target.closest("li"))
            if (index >= 0) this.pick(index)
        })
        document.body.append(this.popup)
        this.field.setAttribute("aria-expanded", "true")
        this.field.setAttribute("aria-controls", this.id)
    }

    fill() {
        const { name, inWeight } = termAt(this.field.value, this.field.selectionEnd)
        const { typed } = this
        const filtered = typed && name !== ""
        this.rows = filtered ? matching(this.classes, name) : this.classes
        const current = this.rows.findIndex((names) => isNamed(names, name))
        this.list.replaceChildren(...this.rows.map((names, index) => this.row(names, index, index === current)))
        this.list.hidden = !this.rows.length
        const none = this.classes.length ? `No class is called "${name}".` : this.message
        this.note.textContent = this.rows.length ? "" : none
        this.popup.hidden = (typed && inWeight) || !(this.rows.length || none)
        this.popup.style.minWidth = `${Math.max(this.field.getBoundingClientRect().width, NARROWEST)}px`
        this.settle()
        // Enter takes the first match only after typing, so that opening the list alone changes nothing.
        this.activate(filtered && this.rows.length ? 0 : -1)
        if (!filtered && current >= 0) this.list.children[current].scrollIntoView({ block: "center" })
        else this.list.scrollTop = 0
    }

    row(names, index, current) {
        const [name, ...others] = names
        const row = Object.assign(document.createElement("li"), { id: `${this.id}-${index}`, role: "option" })
        row.setAttribute("aria-selected", String(current))
        if (this.sheet) row.append(classPicture(this.sheet, this.classes.length, this.classes.indexOf(names)))
        row.append(Object.assign(document.createElement("span"), { className: "name", textContent: name }))
        if (others.length) row.append(Object.assign(document.createElement("small"), { textContent: others.join(", ") }))
        return row
    }

    /** Lay the list under the field, or above it where there is more room. */
    settle() {
        const { left, top, bottom } = this.field.getBoundingClientRect()
        const below = innerHeight - bottom - 2 * GAP
        const above = top - 2 * GAP
        const upwards = below < Math.min(TALLEST, this.popup.scrollHeight) && above > below
        const { style } = this.popup
        style.maxHeight = `${Math.min(TALLEST, upwards ? above : below)}px`
        style.left = `${Math.max(GAP, Math.min(left, innerWidth - this.popup.offsetWidth - GAP))}px`
        style.top = `${upwards ? top - GAP - this.popup.offsetHeight : bottom + GAP}px`
    }

    /** Close as soon as the field has moved: the graph or the node was dragged, or the graph zoomed. */
    watch() {
        const { left, top } = this.field.getBoundingClientRect()
        const look = () => {
            const now = this.field.getBoundingClientRect()
            if (Math.hypot(now.left - left, now.top - top) < 2) this.frame = requestAnimationFrame(look)
            else this.close()
        }
        this.frame = requestAnimationFrame(look)
    }

    activate(index) {
        this.list.children[this.active]?.classList.remove("active")
        this.active = index
        const row = this.list.children[index]
        if (!row) {
            this.field.removeAttribute("aria-activedescendant")
            return
        }
        row.classList.add("active")
        row.scrollIntoView({ block: "nearest" })
        this.field.setAttribute("aria-activedescendant", row.id)
    }

    /** The next row in that direction: from the marked one, else from the class that is in the field. */
    step(by) {
        const from = this.active >= 0 ? this.active : this.rows.length ? this.currentRow() : -1
        const last = this.rows.length - 1
        this.activate(from < 0 ? (by > 0 ? 0 : last) : Math.max(0, Math.min(last, from + by)))
    }

    currentRow() {
        return [...this.list.children].findIndex((row) => row.ariaSelected === "true")
    }

    pick(index) {
        const { text, caret } = withName(this.field.value, this.field.selectionEnd, this.rows[index][0])
        this.field.value = text
        this.field.setSelectionRange(caret, caret)
        this.close()
        this.picking = true
        this.field.dispatchEvent(new Event("input", { bubbles: true }))
        this.picking = false
    }

    pressed(event) {
        // The graph takes letters and Delete as commands, so that it must not see them; Control-Enter must still run it.
        if (event.ctrlKey || event.metaKey) return
        event.stopPropagation()
        const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 }
        if (event.key in steps) {
            event.preventDefault()
            if (this.opened) this.step(steps[event.key])
            else this.open()
        } else if (this.opened && event.key === "Escape") {
            event.preventDefault()
            event.stopImmediatePropagation()
            this.close()
        } else if (this.opened && !this.popup.hidden && this.active >= 0 && ["Enter", "Tab"].includes(event.key)) {
            event.preventDefault()
            event.stopImmediatePropagation()
            this.pick(this.active)
        }
    }
}
