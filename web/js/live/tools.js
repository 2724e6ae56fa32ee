// The left side: the tools, and how the brush is.

import { element, iconButton } from "./elements.js"
import { BRUSHES, settings, SIZES, STRENGTHS } from "./settings.js"

/** `[tool, label, coach line]`, in the order of their keys 1 to 8. */
export const TOOLS = [
    ["class", "Class", "Press and hold: the class grows under the brush while you hold. Shift: straight lines."],
    ["feature", "Feature", "Press and hold: the feature grows. The eyedropper finds features in the picture."],
    ["colour", "Colour", "Sketch with plain colour; then paint a class over it, which keeps to the colours."],
    ["grow", "Grow", "Press and hold: what the classifier sees there already becomes clearer."],
    ["restore", "Restore", "Paint the picture as it was at the beginning."],
    ["eyedropper", "Eyedropper", "Press on the picture: its strongest classes and features appear at the right."],
    ["rectangle", "Select rectangle", "Drag a rectangle, then Fill it with the class, feature or colour at the right."],
    ["lasso", "Lasso", "Draw around something, then Fill it with the class, feature or colour at the right."],
]

export const coachLine = (tool) => TOOLS.find(([name]) => name === tool)[2]

export class ToolBar {
    constructor() {
        this.buttons = new Map(TOOLS.map((tool, index) => [tool[0], this.button(tool, index + 1)]))
        const brushes = element("div", { className: "group" })
        const others = element("div", { className: "group" })
        for (const [name, button] of this.buttons) (BRUSHES.includes(name) ? brushes : others).append(button)
        const tools = element("div", { className: "tools", role: "toolbar", ariaLabel: "Tools" }, brushes, others)
        tools.setAttribute("aria-orientation", "vertical")
        this.sliders = [sizeSlider(), softnessSlider(), strengthSlider()]
        this.mirror = iconButton("mirror", "Mirror", () => settings.change({ mirrored: !settings.mirrored }), {
            wide: true,
            key: "M",
            className: "toggle",
        })
        const brush = element("fieldset", { className: "brush" }, element("legend", { textContent: "Brush" }))
        brush.append(...this.sliders.map(({ root }) => root), this.mirror)
        this.root = element("aside", { className: "left", ariaLabel: "Tools and brush" }, tools, brush)
        this.refresh = () => this.show()
        settings.addEventListener("change", this.refresh)
        this.show()
    }

    button([name, label], key) {
        const text = label === "Select rectangle" ? "Rectangle" : label
        return iconButton(name, label, () => settings.choose(name), { key, wide: true, text, data: { tool: name } })
    }

    show() {
        for (const [name, button] of this.buttons) {
            button.ariaPressed = String(name === settings.tool)
            button.classList.toggle("fills", name === settings.brush && name !== settings.tool)
        }
        this.mirror.ariaPressed = String(settings.mirrored)
        for (const slider of this.sliders) slider.show()
    }

    close() {
        settings.removeEventListener("change", this.refresh)
    }
}

const sizeSlider = () =>
    slider("Size", "size", {
        ...logarithmic(SIZES),
        shown: (value) => `${Math.round(value)} px`,
        read: Math.round,
        title: "Diameter in pixels of the picture ([ and ])",
    })

const softnessSlider = () =>
    slider("Softness", "softness", {
        to: (value) => value,
        from: (place) => place,
        shown: (value) => `${Math.round(value * 100)} %`,
        read: (value) => Math.round(value * 100) / 100,
        title: "0 %: a hard edge; 100 %: soft to the middle",
    })

const strengthSlider = () =>
    slider("Strength", "strength", {
        ...logarithmic(STRENGTHS),
        shown: (value) => value.toFixed(value < 1 ? 2 : 1),
        read: (value) => Math.round(value * 100) / 100,
        title: "How fast it grows",
    })

const logarithmic = ({ min, max }) => ({
    to: (value) => Math.log(value / min) / Math.log(max / min),
    from: (place) => min * (max / min) ** place,
})

function slider(label, name, { to, from, shown, read, title }) {
    const field = element("input", { type: "range", min: "0", max: "1", step: "0.01", ariaLabel: label })
    const output = element("output", { ariaHidden: "true" })
    field.addEventListener("input", () => settings.change({ [name]: read(from(Number(field.value))) }))
    const head = element("span", { className: "head" }, element("span", { textContent: label }), output)
    function show() {
        const value = settings[name]
        // The field is left alone while it is moved, so that it does not jump to a rounded value.
        if (read(from(Number(field.value))) !== value) field.value = to(value)
        output.textContent = shown(value)
        field.setAttribute("aria-valuetext", shown(value))
        field.style.setProperty("--filled", `${Number(field.value) * 100}%`)
    }
    return { root: element("label", { className: "slider", title }, head, field), show }
}
