// Small helpers that the dialog is built with.

import { ICONS } from "./icons.js"

/** An element with properties and children; `data` are its data attributes. */
export function element(tag, { data = {}, ...properties } = {}, ...children) {
    const made = Object.assign(document.createElement(tag), properties)
    Object.assign(made.dataset, data)
    made.append(...children)
    return made
}

export function icon(name) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", "svg")
    made.setAttribute("viewBox", "0 0 24 24")
    made.setAttribute("aria-hidden", "true")
    made.innerHTML = ICONS[name]
    return made
}

/** A button with an icon. `key`: its shortcut, as it is shown; `wide`: its label, or `text`, is beside the icon. */
export function iconButton(name, label, press, { key = "", wide = false, text = label, ...properties } = {}) {
    const title = key ? `${label} (${key})` : label
    const made = element("button", { type: "button", title, ariaLabel: label, ...properties }, icon(name))
    if (wide) made.append(element("span", { textContent: text }))
    if (press) made.addEventListener("click", press)
    return made
}

export function textButton(label, press, properties = {}) {
    const made = element("button", { type: "button", textContent: label, ...properties })
    made.addEventListener("click", press)
    return made
}

/** The name of a class as it is read. */
export const readable = (name) => name.replaceAll("_", " ")

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds))
