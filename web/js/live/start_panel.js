// What to begin with: a blank canvas, a seed of a class, a photo.

import { classPicture } from "../class_picture.js"
import { element, icon, iconButton, readable, textButton } from "./elements.js"

const SEEDS = 8
const BLANKS = ["#808080", "#f2f0eb", "#1c1d20", "#7fa3c7", "#6f7d4f"]
const SIDES = { min: 64, max: 4096, step: 1 }

export class StartPanel {
    /**
     * @param size `{width, height}` to suggest.
     * @param events `begin(base)`, `photo()`, `leave()` or null where there is nothing to go back to.
     */
    constructor(size, events) {
        Object.assign(this, { events, classes: [], sheet: null, turn: 0 })
        const [width, height] = [size.width, size.height].map(String)
        this.width = element("input", { type: "number", ...SIDES, value: width, ariaLabel: "Width in pixels" })
        this.height = element("input", { type: "number", ...SIDES, value: height, ariaLabel: "Height in pixels" })
        this.seeds = element("div", { className: "seeds" })
        this.message = element("p", { className: "message", role: "alert" })
        const title = element("h2", { id: "robust-live-start", textContent: "What do you begin with?" })
        const head = element("div", { className: "head" }, title)
        if (events.leave) head.append(iconButton("close", "Back to the painting", events.leave))
        const size_ = element("div", { className: "size" }, "Size", this.width, "×", this.height, "px")
        const choices = element("div", { className: "choices" }, this.blank(), this.seedChoice(), this.photo())
        this.root = element("div", { className: "card start", role: "group" }, head, this.message, size_, choices)
        this.root.setAttribute("aria-labelledby", "robust-live-start")
    }

    fill({ classes, sheet }) {
        Object.assign(this, { classes, sheet })
        this.showSeeds()
    }

    say(message) {
        this.message.textContent = message
    }

    focus() {
        this.root.querySelector(".choices button")?.focus()
    }

    size() {
        const side = (field) => Math.round(Math.max(SIDES.min, Math.min(SIDES.max, Number(field.value) || 768)))
        return { width: side(this.width), height: side(this.height) }
    }

    blank() {
        const begin = (colour) => this.events.begin({ kind: "blank", ...this.size(), colour })
        const swatches = BLANKS.map((colour, index) => {
            const label = `Blank canvas, ${["grey", "white", "black", "blue", "green"][index]}`
            const swatch = element("button", { type: "button", className: "swatch", title: label, ariaLabel: label })
            swatch.style.background = colour
            swatch.addEventListener("click", () => begin(colour))
            return swatch
        })
        const main = textButton("", () => begin(BLANKS[0]), { className: "choice", ariaLabel: "Blank canvas" })
        main.append(icon("blank"), element("strong", { textContent: "Blank canvas" }))
        main.append(element("span", { textContent: "Sketch with colour, or paint classes on grey." }))
        return element("div", { className: "column" }, main, element("div", { className: "swatches" }, ...swatches))
    }

    seedChoice() {
        const head = element("div", { className: "choice quiet" }, icon("feature"))
        head.append(element("strong", { textContent: "A seed" }))
        head.append(element("span", { textContent: "Colours and layout of a class, to paint on." }))
        const others = iconButton("again", "Others", () => this.showSeeds(1), { wide: true, className: "quiet" })
        return element("div", { className: "column wide" }, head, this.seeds, others)
    }

    photo() {
        const main = textButton("", this.events.photo, { className: "choice", ariaLabel: "A photo" })
        main.append(icon("photo"), element("strong", { textContent: "A photo" }))
        main.append(element("span", { textContent: "Choose one, or drop or paste it anywhere here." }))
        return element("div", { className: "column" }, main)
    }

    showSeeds(step = 0) {
        const { classes, sheet } = this
        this.turn += step
        const count = Math.min(SEEDS, classes.length)
        // Spread over the list, so that they differ.
        const spread = (index) => Math.floor((index * classes.length) / count) + this.turn
        const places = Array.from({ length: count }, (_, index) => spread(index) % classes.length)
        this.seeds.replaceChildren(
            ...places.map((place) => {
                const [name] = classes[place]
                const seed = () => ({ kind: "seed", ...this.size(), what: name, seed: randomSeed() })
                const button = element("button", { type: "button", className: "tile" })
                button.ariaLabel = `Seed of ${readable(name)}`
                if (sheet) button.append(classPicture(sheet, classes.length, place))
                button.append(element("span", { className: "name", textContent: readable(name) }))
                button.addEventListener("click", () => this.events.begin(seed()))
                return button
            }),
        )
    }
}

const randomSeed = () => Math.floor(Math.random() * 2 ** 31)
