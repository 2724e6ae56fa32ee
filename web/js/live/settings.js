// What the tools paint with. One for all canvases of the page, so that a tool is as it was left.

export const BRUSHES = ["class", "feature", "colour", "grow", "restore"]
export const SIZES = { min: 4, max: 2048 }
export const STRENGTHS = { min: 0.2, max: 5 }
const STEP = 1.2

class Settings extends EventTarget {
    tool = "class"
    /** What a stroke or a filling is of: the last brush that was chosen. */
    brush = "class"
    what = { class: "", feature: "" }
    colour = "#d08a4e"
    size = 96
    softness = 0.5
    strength = 1
    mirrored = false
    suggested = this.size

    change(values) {
        Object.assign(this, values)
        this.dispatchEvent(new Event("change"))
    }

    choose(tool) {
        this.change(BRUSHES.includes(tool) ? { tool, brush: tool } : { tool })
    }

    /** Paint with a class, a feature or a colour. With a selection tool in the hand it is what fills. */
    paintWith(brush, values) {
        const tool = ["rectangle", "lasso"].includes(this.tool) ? this.tool : brush
        this.change({ brush, tool, ...values })
    }

    /** A size that suits a picture, unless the user has chosen one. */
    suit(width, height) {
        if (this.size !== this.suggested) return
        this.suggested = Math.round(Math.max(SIZES.min, Math.min(SIZES.max, Math.min(width, height) / 7)))
        this.change({ size: this.suggested })
    }

    resize(steps) {
        const size = Math.round(this.size * STEP ** steps + 0.3 * steps)
        this.change({ size: Math.max(SIZES.min, Math.min(SIZES.max, size)) })
    }

    /** The brush, as the server takes it. */
    asBrush() {
        const { brush: kind, colour, size, softness, strength, mirrored } = this
        return { kind, what: this.what[kind] ?? "", colour, size, softness, strength, mirrored }
    }

    /** Why the brush cannot paint yet; "" if it can. */
    get missing() {
        if (this.brush === "class" && !this.what.class.trim()) return "Choose a class first, at the right."
        if (this.brush === "feature" && !this.what.feature.trim()) {
            return "Choose a feature first: point at something with the eyedropper."
        }
        return ""
    }
}

export const settings = new Settings()
