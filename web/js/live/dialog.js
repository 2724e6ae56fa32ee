// The dialog: its parts, and what each of them makes the others do.

import { app } from "../../../../scripts/app.js"
import { card } from "./card.js"
import { RefusedError } from "./connection.js"
import { element } from "./elements.js"
import { listenToKeys } from "./keys.js"
import { Overlay } from "./overlay.js"
import { Painting } from "./painting.js"
import { Palette } from "./palette.js"
import { choosePicture, pictureIn } from "./photos.js"
import { PointerInput } from "./pointer.js"
import { settings } from "./settings.js"
import { StatusBar } from "./status.js"
import { Surface } from "./surface.js"
import { ToolBar } from "./tools.js"
import { TopBar } from "./top_bar.js"

const LOOK = 400

for (const name of ["live", "stage", "palette", "narrow"]) {
    const href = new URL(`./${name}.css`, import.meta.url).href
    document.head.append(element("link", { rel: "stylesheet", href }))
}

export class LiveDialog {
    /** @param target the CanvasNode. @param closed called when the dialog is gone. */
    constructor(target, closed) {
        Object.assign(this, { target, closed, selection: null, closing: false })
        this.build()
        this.painting = new Painting(target, this)
        this.listen()
        this.root.showModal()
        this.stage.focus()
        this.giveBackKeys = takeKeys()
        // The graph may go while the dialog is open: another workflow, a deleted node.
        this.look = setInterval(() => target.present || this.leave(), LOOK)
        this.painting.start()
    }

    build() {
        this.stage = element("main", { className: "stage", tabIndex: 0 })
        this.stage.ariaLabel = "The picture. Paint with the pointer."
        this.stage.dataset.captureWheel = "true"
        this.surface = new Surface(this.stage, () => {
            this.top?.zoom(this.surface.scale)
            this.overlay?.draw()
        })
        this.overlay = new Overlay(this.stage, this.surface)
        this.tools = new ToolBar()
        this.palette = new Palette((kind, number) => this.painting.pictureOf(kind, number))
        this.status = new StatusBar()
        this.top = new TopBar(this.presses())
        const middle = element("div", { className: "middle" }, this.tools.root, this.stage, this.palette.root)
        this.root = element("dialog", { className: "robust-live", tabIndex: -1 })
        this.root.append(this.top.root, middle, this.status.root)
        this.root.setAttribute("aria-labelledby", "robust-live-title")
        document.body.append(this.root)
    }

    presses() {
        return {
            undo: () => this.undo(),
            redo: () => this.painting.turn("redo"),
            zoomOut: () => this.surface.zoom(1 / 1.4),
            zoomIn: () => this.surface.zoom(1.4),
            actual: () => this.surface.actual(),
            fit: () => this.surface.fit(),
            before: (shown) => this.painting.showBefore(shown),
            // A press of the pointer has done it already.
            fill: ({ detail }) => detail === 0 && this.fill()?.end(),
            deselect: () => this.select(null),
            start: () => this.painting.choose(),
            export: () => this.painting.save(),
            done: () => this.done(),
        }
    }

    listen() {
        const { root } = this
        this.pointer = new PointerInput(this.stage, this.surface, this.overlay, {
            stroke: (points) => this.painting.stroke("path", points),
            select: (selection) => this.select(selection, false),
            pick: (point) => this.painting.pick(point),
        })
        this.refresh = () => this.pointer.showCursor()
        settings.addEventListener("change", this.refresh)
        const keys = {
            ...this.presses(),
            fill: () => this.fill()?.end(),
            escape: () => this.escape(),
            hold: (keys) => this.pointer.hold(keys),
            paste: (event) => this.pasted(event),
        }
        this.gone = new AbortController()
        listenToKeys(root, keys, this.gone.signal)
        this.top.fill.addEventListener("pointerdown", (event) => this.holdFill(event))
        // Whatever closes it: Escape, the back gesture.
        root.addEventListener("cancel", (event) => event.preventDefault())
        root.addEventListener("close", () => this.done())
        const drags = ["dragenter", "dragover", "drop"]
        for (const name of drags) root.addEventListener(name, (event) => this.dropped(event))
        root.addEventListener("contextmenu", (event) => event.stopPropagation())
    }

    /** Show what has become of the painting. */
    show(state = {}) {
        const { open, undoable, redo } = this.painting
        this.top.show({ open, undo: undoable, redo, selected: Boolean(this.selection) })
        this.root.dataset.state = state.state ?? this.status.state
        if (state.state) this.status.show(state.state, state.message)
        this.status.size = this.surface.width ? `${this.surface.width} × ${this.surface.height}` : ""
        this.status.count()
        // A button that is disabled would take the focus out of the dialog.
        if (document.activeElement?.disabled) this.stage.focus({ preventScroll: true })
    }

    undo() {
        if (!this.pointer.cancel()) this.painting.turn("undo")
    }

    select(selection, draw = true) {
        this.selection = selection
        if (draw) this.overlay.select(selection)
        this.show()
    }

    fill() {
        const { width, height } = this.surface
        const whole = [[0, 0], [width, 0], [width, height], [0, height]]
        const points = (this.selection?.points ?? whole).map(([x, y]) => [x, y, 1])
        // The rim of the picture is not feathered.
        return this.painting.stroke("area", points, this.selection ? {} : { softness: 0 })
    }

    holdFill(event) {
        if (event.button || this.top.fill.disabled) return
        const stroke = this.fill()
        if (!stroke) return
        const ends = ["pointerup", "pointercancel", "lostpointercapture"]
        const once = new AbortController()
        const end = () => {
            once.abort()
            stroke.end()
        }
        this.top.fill.setPointerCapture(event.pointerId)
        for (const name of ends) this.top.fill.addEventListener(name, end, { signal: once.signal })
    }

    escape() {
        if (this.pointer.cancel()) return
        if (this.selection) this.select(null)
        else if (!this.painting.back()) this.done()
    }

    dropped(event) {
        event.preventDefault()
        event.stopPropagation()
        const file = event.type === "drop" && pictureIn(event.dataTransfer)
        if (file) this.painting.bring(file)
    }

    pasted(event) {
        const file = pictureIn(event.clipboardData)
        if (!file) return
        event.preventDefault()
        this.painting.bring(file)
    }

    async photo() {
        const file = await choosePicture()
        if (file) await this.painting.bring(file)
    }

    /** Put a card on the stage, instead of the one that is there. */
    put(made) {
        for (const old of this.stage.querySelectorAll(".card")) old.remove()
        if (!made) return this.stage.focus({ preventScroll: true })
        this.stage.append(made)
        made.querySelector(".choices button, .answers button")?.focus({ preventScroll: true })
    }

    ask(text, choices, options) {
        this.put(card(text, choices, options))
    }

    /** Save and close; the second time, close at once. */
    async done() {
        if (!this.closing) {
            this.closing = true
            this.pointer.held?.stroke?.end()
            this.show({ state: "opening", message: "Saving..." })
            try {
                await this.painting.finish()
            } catch (error) {
                return this.unsaved(error)
            }
        }
        this.leave()
    }

    unsaved(error) {
        if (!(error instanceof RefusedError)) throw error
        this.closing = false
        this.show({ state: "refused" })
        this.ask(error.message, [
            ["Try again", () => this.done()],
            ["Close without saving", () => this.leave()],
        ])
    }

    leave() {
        if (this.left) return
        this.left = true
        clearInterval(this.look)
        this.giveBackKeys()
        this.gone.abort()
        settings.removeEventListener("change", this.refresh)
        const { painting, tools, palette, overlay, status, surface } = this
        for (const part of [painting, tools, palette, overlay, status, surface]) part.close()
        this.root.close()
        this.root.remove()
        this.closed()
    }
}

/** The graph's undo listens before all others, but for the mask editor it keeps still. */
function takeKeys() {
    const own = app.constructor
    const { maskeditor_is_opended } = own
    own.maskeditor_is_opended = () => true
    return () => Object.assign(own, { maskeditor_is_opended })
}
