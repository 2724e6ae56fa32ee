// A question or a message on the stage, with its answers as buttons.

import { element, textButton } from "./elements.js"

/**
 * @param choices `[label, press]` of each button; the first is the one to take. Pressing one removes the card.
 * @param banner at the upper rim, so that the picture stays in sight; else in the middle.
 */
export function card(text, choices, { banner = false } = {}) {
    const root = element("div", { className: banner ? "card banner" : "card", role: "group", ariaLabel: text })
    const buttons = choices.map(([label, press], index) => {
        const pressed = () => {
            root.remove()
            press()
        }
        return textButton(label, pressed, { className: index ? "" : "primary" })
    })
    root.append(element("p", { role: "alert", textContent: text }))
    root.append(element("div", { className: "answers" }, ...buttons))
    return root
}
