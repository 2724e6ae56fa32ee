// The pointer on the stage: strokes, selections, picking, moving and zooming.

import { BRUSHES, settings } from "./settings.js"

const WHEEL = 0.0016
// Trackpads send small steps when two fingers are pinched.
const PINCH = 0.01
const LONGEST_PATH = 19_000
const LONGEST_LASSO = 400

export class PointerInput {
    /**
     * @param events `stroke(points)` begins one and returns it, or null; `select(selection)`; `pick(point)`.
     */
    constructor(stage, surface, overlay, events) {
        Object.assign(this, { stage, surface, overlay, events, held: null, last: null, space: false, alt: false })
        this.touches = new Map()
        const handlers = { pointerdown: "down", pointermove: "moved", pointerup: "up", pointercancel: "up" }
        handlers.wheel = "wheel"
        for (const [name, method] of Object.entries(handlers)) {
            stage.addEventListener(name, (event) => this[method](event), { passive: false })
        }
        stage.addEventListener("pointerleave", () => this.hover(null))
        stage.addEventListener("contextmenu", (event) => event.preventDefault())
    }

    /** Space or Alt is held or not. */
    hold(keys) {
        Object.assign(this, keys)
        this.showCursor()
    }

    get panning() {
        return this.held?.kind === "pan"
    }

    /** Take back the stroke or the selection under way; false if there is none. */
    cancel() {
        if (!this.held || this.panning) return false
        this.held.stroke?.cancel()
        this.held = null
        this.overlay.draft = null
        this.overlay.draw()
        return true
    }

    down(event) {
        if (!this.surface.width || event.target.closest(".card")) return
        this.stage.focus({ preventScroll: true })
        event.preventDefault()
        if (event.pointerType === "touch") {
            this.touches.set(event.pointerId, event)
            // A second finger moves the picture instead, and until all are lifted none of them paints.
            if (this.touches.size === 2) return this.pinch()
            if (this.pinching) return
        }
        if (this.held || event.button > 1) return
        this.stage.setPointerCapture(event.pointerId)
        this.begin(event)
        this.showCursor()
    }

    begin(event) {
        const tool = event.altKey ? "eyedropper" : settings.tool
        if (event.button === 1 || this.space) this.held = { kind: "pan", x: event.clientX, y: event.clientY }
        else if (tool === "eyedropper") this.events.pick(this.surface.toPicture(event))
        else if (BRUSHES.includes(tool)) this.beginStroke(event)
        else this.beginSelection(event, tool)
    }

    beginStroke(event) {
        const point = this.pointOf(event)
        const stroke = this.events.stroke(event.shiftKey && this.last ? [this.last, point] : [point])
        if (!stroke) return
        this.held = { kind: "stroke", pointer: event.pointerId, stroke, first: point }
        this.last = point
    }

    beginSelection(event, tool) {
        const { x, y } = this.surface.toPicture(event)
        this.held = { kind: tool, pointer: event.pointerId, first: [x, y] }
        this.overlay.select(null)
        this.events.select(null)
    }

    moved(event) {
        this.hover(event)
        if (this.touches.has(event.pointerId)) {
            if (this.touches.size === 2) return this.pinched(event)
            this.touches.set(event.pointerId, event)
        }
        const { held } = this
        if (!held) return
        if (held.kind === "pan") {
            this.surface.pan(event.clientX - held.x, event.clientY - held.y)
            Object.assign(held, { x: event.clientX, y: event.clientY })
        } else if (held.pointer !== event.pointerId) return
        else if (held.kind === "stroke") this.extend(event)
        else this.drag(event)
    }

    extend(event) {
        const events = event.getCoalescedEvents?.() ?? []
        const points = []
        for (const one of events.length ? events : [event]) {
            const point = event.shiftKey ? this.straight(this.pointOf(one)) : this.pointOf(one)
            const apart = Math.hypot(point[0] - this.last[0], point[1] - this.last[1])
            if (apart < Math.max(0.5, settings.size / 24)) continue
            points.push(point)
            this.last = point
        }
        if (points.length) this.held.stroke.add(points)
        if (this.held.stroke.points.length > LONGEST_PATH) this.up(event)
    }

    /** On the nearest of eight lines through the first point. */
    straight([x, y, pressure]) {
        const [left, top] = this.held.first
        const angle = (Math.round(Math.atan2(y - top, x - left) / (Math.PI / 4)) * Math.PI) / 4
        const along = (x - left) * Math.cos(angle) + (y - top) * Math.sin(angle)
        return [left + along * Math.cos(angle), top + along * Math.sin(angle), pressure]
    }

    drag(event) {
        const { x, y } = this.surface.toPicture(event)
        const { first, kind } = this.held
        if (kind === "rectangle") {
            const [left, top] = first
            this.overlay.draft = { points: [first, [x, top], [x, y], [left, y], first] }
        } else this.overlay.draft = { points: [...(this.overlay.draft?.points ?? [first]), [x, y]] }
        this.overlay.draw()
    }

    up(event) {
        if (this.touches.delete(event.pointerId) && this.pinching) {
            if (!this.touches.size) this.pinching = null
            return
        }
        const { held } = this
        if (!held || (held.pointer !== undefined && held.pointer !== event.pointerId)) return
        this.held = null
        if (held.kind === "stroke") held.stroke.end()
        else if (held.kind !== "pan") this.finishSelection()
        this.showCursor()
    }

    finishSelection() {
        const { width, height } = this.surface
        const drawn = this.overlay.draft?.points ?? []
        this.overlay.draft = null
        const step = Math.ceil(drawn.length / LONGEST_LASSO)
        const inside = ([x, y]) => [Math.max(0, Math.min(width, x)), Math.max(0, Math.min(height, y))]
        const points = drawn.filter((_, index) => index % step === 0).map(inside)
        const [across, down] = [0, 1].map((axis) => points.map((point) => point[axis]))
        // A click selects nothing.
        const selected = points.length > 2 && Math.min(...[across, down].map(extent)) >= 2
        const selection = selected ? { points } : null
        this.overlay.select(selection)
        this.events.select(selection)
    }

    pinch() {
        this.cancel()
        this.held = null
        this.pinching = this.spread()
    }

    pinched(event) {
        this.touches.set(event.pointerId, event)
        const [before, now] = [this.pinching, this.spread()]
        this.pinching = now
        this.surface.pan(now.clientX - before.clientX, now.clientY - before.clientY)
        this.surface.zoom(now.apart / before.apart, now)
    }

    spread() {
        const [one, other] = [...this.touches.values()]
        const apart = Math.max(1, Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY))
        return { clientX: (one.clientX + other.clientX) / 2, clientY: (one.clientY + other.clientY) / 2, apart }
    }

    wheel(event) {
        if (event.target.closest(".card")) return
        event.preventDefault()
        const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1
        this.surface.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? PINCH : WHEEL)), event)
        this.hover(event)
    }

    hover(event) {
        this.overlay.pointer = event && { ...this.surface.toPicture(event), picks: event.altKey || this.space }
        this.overlay.draw()
    }

    showCursor() {
        const picks = this.alt || settings.tool === "eyedropper"
        this.stage.dataset.cursor = this.panning ? "grabbing" : this.space ? "grab" : picks ? "pick" : settings.tool
        if (this.overlay.pointer) this.overlay.pointer.picks = this.alt || this.space
        this.overlay.draw()
    }

    pointOf(event) {
        const { x, y } = this.surface.toPicture(event)
        const round = (value) => Math.round(value * 100) / 100
        // A mouse and a finger have no pressure of their own.
        return [round(x), round(y), event.pointerType === "pen" ? round(event.pressure) : 1]
    }
}

const extent = (values) => Math.max(...values) - Math.min(...values)
