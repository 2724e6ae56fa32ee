// The features and classes that the eyedropper finds, each with its picture, and the field for features.

import { element } from "./elements.js"
import { settings } from "./settings.js"

export class FeatureList {
    /**
     * @param picture gives the URL of a feature's picture, by its number; it may take its time.
     * @param classButton gives the button of a class, by its name.
     */
    constructor(picture, classButton) {
        Object.assign(this, { picture, classButton, pictures: new Map() })
        this.field = element("input", { type: "text", className: "mix", placeholder: "12, -5:0.5", maxLength: 500 })
        Object.assign(this.field, { spellcheck: false, autocomplete: "off" })
        this.field.addEventListener("input", () => this.take(this.field.value))
        const label = element("label", { className: "field" }, "Feature or mix", this.field)
        this.hint = element("p", { className: "note" })
        this.hint.textContent = "Press on the picture with the eyedropper (6, or Alt): what the classifier sees there."
        this.features = element("div", { className: "grid", role: "group", ariaLabel: "Features found" })
        this.classes = element("div", { className: "grid", role: "group", ariaLabel: "Classes found" })
        const titles = ["Features there", "Classes there"].map((text) => element("h2", { textContent: text }))
        this.results = element("div", { hidden: true }, titles[0], this.features, titles[1], this.classes)
        this.root = element("section", { className: "panel" }, label, this.hint, this.results)
    }

    show({ classes, features }) {
        this.results.hidden = false
        this.hint.hidden = true
        const strongest = Math.max(...features.map(({ activation }) => activation), 1e-9)
        this.features.replaceChildren(...features.map((feature) => this.tile(feature, feature.activation / strongest)))
        this.classes.replaceChildren(
            ...classes.map(({ name, share }) => {
                const button = this.classButton(name)
                button.append(element("small", { textContent: `${Math.round(share * 100)} %` }))
                return button
            }),
        )
    }

    tile({ number }, share) {
        const title = `Feature ${number}\nShift: add it to the mix`
        const button = element("button", { type: "button", className: "tile", title, data: { feature: number } })
        const picture = element("span", { className: "picture", ariaHidden: "true" })
        const bar = element("span", { className: "bar" })
        bar.style.width = `${Math.round(share * 100)}%`
        button.append(picture, element("span", { className: "name", textContent: String(number) }), bar)
        button.addEventListener("click", ({ shiftKey }) => {
            const { feature } = settings.what
            this.take(shiftKey && feature.trim() ? `${feature}, ${number}` : String(number))
        })
        this.draw(picture, number)
        return button
    }

    async draw(picture, number) {
        if (!this.pictures.has(number)) this.pictures.set(number, this.picture(number))
        const url = await this.pictures.get(number)
        if (url) picture.style.backgroundImage = `url("${url}")`
        else this.pictures.delete(number)
    }

    take(expression) {
        settings.paintWith("feature", { what: { ...settings.what, feature: expression } })
    }

    mark() {
        if (document.activeElement !== this.field) this.field.value = settings.what.feature
        const chosen = settings.what.feature.split(",").map((term) => term.split(":")[0].trim())
        for (const button of this.features.children) {
            button.ariaPressed = String(chosen.includes(button.dataset.feature))
        }
    }

    close() {
        for (const url of this.pictures.values()) url.then((made) => made && URL.revokeObjectURL(made))
    }
}
