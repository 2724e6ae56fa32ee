// The picture on the stage: one canvas of its full size, moved and scaled by the browser.

import { element } from "./elements.js"

const SMALLEST = 0.02
const LARGEST = 32
const MARGIN = 32
// From here on the pixels are shown as squares.
const SQUARES = 3

export class Surface {
    /**
     * @param stage the element that the picture lies on.
     * @param moved called after each change of the view.
     */
    constructor(stage, moved) {
        Object.assign(this, { stage, moved, scale: 1, x: 0, y: 0, width: 0, height: 0, fitted: true })
        this.canvas = element("canvas", { className: "picture" })
        this.before = element("img", { className: "before", alt: "The picture before", hidden: true })
        this.sheet = element("div", { className: "sheet", hidden: true }, this.canvas, this.before)
        stage.append(this.sheet)
        this.context = this.canvas.getContext("2d", { alpha: false })
        this.watch = new ResizeObserver(() => (this.fitted ? this.fit() : this.show()))
        this.watch.observe(stage)
    }

    /** Another picture, whole. */
    async replace(blob) {
        const bitmap = await decoded(blob)
        const resized = bitmap.width !== this.width || bitmap.height !== this.height
        if (resized) {
            Object.assign(this, { width: bitmap.width, height: bitmap.height })
            Object.assign(this.canvas, { width: bitmap.width, height: bitmap.height })
        }
        this.context.drawImage(bitmap, 0, 0)
        bitmap.close()
        this.forgetBefore()
        if (this.sheet.hidden || resized) {
            this.sheet.hidden = false
            this.fit()
        }
    }

    /** What has changed; a patch with fewer pixels than its box is enlarged. */
    async patch(blob, [left, top, width, height]) {
        const bitmap = await decoded(blob)
        this.context.drawImage(bitmap, left, top, width, height)
        bitmap.close()
    }

    colourAt({ x, y }) {
        const [red, green, blue] = this.context.getImageData(Math.floor(x), Math.floor(y), 1, 1).data
        return `#${[red, green, blue].map((value) => value.toString(16).padStart(2, "0")).join("")}`
    }

    holds({ x, y }) {
        return x >= 0 && y >= 0 && x < this.width && y < this.height
    }

    fit() {
        const { clientWidth, clientHeight } = this.stage
        if (!this.width || !clientWidth) return
        const [wide, high] = [clientWidth - 2 * MARGIN, clientHeight - 2 * MARGIN]
        this.place(Math.min(wide / this.width, high / this.height, LARGEST / 8))
        this.fitted = true
    }

    actual() {
        // A pixel of the picture is a pixel of the screen.
        this.place(1 / devicePixelRatio)
    }

    /** At a scale, in the middle of the stage. */
    place(scale) {
        const { clientWidth, clientHeight } = this.stage
        this.scale = scale
        this.x = Math.round((clientWidth - this.width * scale) / 2)
        this.y = Math.round((clientHeight - this.height * scale) / 2)
        this.fitted = false
        this.show()
    }

    /** Zoom so that the point of the window stays where it is; without one, the middle of the stage. */
    zoom(factor, at) {
        const { left, top, width, height } = this.stage.getBoundingClientRect()
        const [x, y] = at ? [at.clientX - left, at.clientY - top] : [width / 2, height / 2]
        const scale = Math.max(SMALLEST, Math.min(LARGEST, this.scale * factor))
        this.x = x - ((x - this.x) * scale) / this.scale
        this.y = y - ((y - this.y) * scale) / this.scale
        this.scale = scale
        this.fitted = false
        this.show()
    }

    pan(x, y) {
        this.x += x
        this.y += y
        this.fitted = false
        this.show()
    }

    show() {
        this.sheet.style.width = `${this.width}px`
        this.sheet.style.height = `${this.height}px`
        this.sheet.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`
        this.sheet.style.setProperty("--hair", `${1 / this.scale}px`)
        this.sheet.classList.toggle("squares", this.scale * devicePixelRatio >= SQUARES)
        this.moved()
    }

    /** A point of the window in pixels of the picture. */
    toPicture({ clientX, clientY }) {
        const { left, top } = this.stage.getBoundingClientRect()
        return { x: (clientX - left - this.x) / this.scale, y: (clientY - top - this.y) / this.scale }
    }

    showBefore(blob) {
        this.before.src = URL.createObjectURL(blob)
    }

    get knowsBefore() {
        return Boolean(this.before.getAttribute("src"))
    }

    forgetBefore() {
        if (this.knowsBefore) URL.revokeObjectURL(this.before.src)
        this.before.removeAttribute("src")
    }

    close() {
        this.watch.disconnect()
        this.forgetBefore()
        // Its memory goes at once, not when the page's garbage is collected.
        Object.assign(this.canvas, { width: 0, height: 0 })
    }
}

/** Without a colour conversion, so that the pixels are the file's. */
const decoded = (blob) => createImageBitmap(blob, { colorSpaceConversion: "none" })
