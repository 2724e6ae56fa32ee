// Drawn over the picture at once, whatever the server does: the cursor, the stroke under way, the selection.

import { element } from "./elements.js"
import { BRUSHES, settings } from "./settings.js"

const ANTS = 5

export class Overlay {
    constructor(stage, surface) {
        Object.assign(this, { stage, surface, pointer: null, strokes: [], selection: null, draft: null, frame: 0 })
        this.canvas = element("canvas", { className: "overlay", ariaHidden: "true" })
        stage.append(this.canvas)
        this.context = this.canvas.getContext("2d")
        this.redraw = () => this.draw()
        settings.addEventListener("change", this.redraw)
    }

    close() {
        settings.removeEventListener("change", this.redraw)
        cancelAnimationFrame(this.frame)
        clearInterval(this.marching)
    }

    /** `{shape, points}` in pixels of the picture, or null. */
    select(selection) {
        this.selection = selection
        clearInterval(this.marching)
        if (selection) this.marching = setInterval(this.redraw, 120)
        this.draw()
    }

    draw() {
        this.frame ||= requestAnimationFrame(() => {
            this.frame = 0
            this.paint()
        })
    }

    paint() {
        const { clientWidth: width, clientHeight: height } = this.stage
        const ratio = devicePixelRatio
        if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
            Object.assign(this.canvas, { width: Math.round(width * ratio), height: Math.round(height * ratio) })
        }
        const { context, surface } = this
        context.setTransform(ratio, 0, 0, ratio, 0, 0)
        context.clearRect(0, 0, width, height)
        if (settings.mirrored && surface.width) this.axis()
        for (const stroke of this.strokes) this.band(stroke)
        if (this.selection) this.ants(this.selection)
        if (this.draft) this.ants({ ...this.draft, open: true })
        if (this.pointer) this.cursor()
    }

    x = (x) => x * this.surface.scale + this.surface.x
    y = (y) => y * this.surface.scale + this.surface.y
    sides = (x) => (settings.mirrored ? [x, this.surface.width - x] : [x])

    axis() {
        const { context, surface } = this
        const x = Math.round(this.x(surface.width / 2)) + 0.5
        context.beginPath()
        context.moveTo(x, this.y(0))
        context.lineTo(x, this.y(surface.height))
        this.outline(1, [6, 5])
    }

    /** What of a stroke the server has not painted yet. */
    band({ brush, shape, points, taken }) {
        const { context, surface } = this
        const rest = points.slice(Math.max(0, taken - 1))
        if (!rest.length || taken >= points.length) return
        context.save()
        context.globalAlpha = 0.35
        Object.assign(context, { lineCap: "round", lineJoin: "round", lineWidth: brush.size * surface.scale })
        context.strokeStyle = context.fillStyle = brush.kind === "colour" ? brush.colour : "#fff"
        for (const mirror of brush.mirrored ? [false, true] : [false]) {
            context.beginPath()
            for (const [x, y] of rest) context.lineTo(this.x(mirror ? surface.width - x : x), this.y(y))
            if (shape === "area") context.fill()
            else {
                context.lineTo(this.x(mirror ? surface.width - rest[0][0] : rest[0][0]), this.y(rest[0][1]))
                for (const [x, y] of rest.toReversed()) context.lineTo(this.x(mirror ? surface.width - x : x), this.y(y))
                context.stroke()
            }
        }
        context.restore()
    }

    ants({ points, open }) {
        const { context } = this
        context.beginPath()
        for (const [x, y] of points) context.lineTo(this.x(x), this.y(y))
        if (!open) context.closePath()
        context.lineDashOffset = 0
        context.setLineDash([])
        this.stroke(1, "rgb(0 0 0 / 70%)")
        context.setLineDash([ANTS, ANTS])
        context.lineDashOffset = -Math.round(performance.now() / 60) % (2 * ANTS)
        this.stroke(1, "#fff")
        context.setLineDash([])
    }

    cursor() {
        const { context, surface } = this
        const { x, y } = this.pointer
        if (!BRUSHES.includes(settings.tool) || this.pointer.picks) return
        const radius = Math.max(1.5, (settings.size * surface.scale) / 2)
        for (const side of this.sides(x)) {
            context.beginPath()
            context.arc(this.x(side), this.y(y), radius, 0, 2 * Math.PI)
            this.outline(side === x ? 1.25 : 0.75)
        }
        if (radius < 6) return
        context.beginPath()
        context.moveTo(this.x(x) - 3, this.y(y))
        context.lineTo(this.x(x) + 3, this.y(y))
        context.moveTo(this.x(x), this.y(y) - 3)
        context.lineTo(this.x(x), this.y(y) + 3)
        this.outline(1)
    }

    /** A line that is seen on light and on dark. */
    outline(width, dash = []) {
        this.context.setLineDash(dash)
        this.stroke(width + 1.5, "rgb(0 0 0 / 55%)")
        this.stroke(width, "rgb(255 255 255 / 95%)")
        this.context.setLineDash([])
    }

    stroke(width, style) {
        this.context.lineWidth = width
        this.context.strokeStyle = style
        this.context.stroke()
    }
}
