// The lower side: what goes on, and a line on the tool in the hand.

import { element } from "./elements.js"
import { settings } from "./settings.js"
import { coachLine } from "./tools.js"

const WORDS = { idle: "", live: "Painting", resting: "Adding detail", opening: "Opening..." }
const SECOND = 1000

export class StatusBar {
    constructor() {
        this.text = element("span", { className: "text", role: "status" })
        this.coach = element("span", { className: "coach" })
        this.numbers = element("span", { className: "numbers" })
        const state = element("span", { className: "state" }, element("i", { className: "dot" }), this.text)
        this.root = element("footer", { className: "bottom" }, state, this.coach, this.numbers)
        this.times = []
        Object.assign(this, { state: "idle", message: "", size: "", steps: 0 })
        this.refresh = () => (this.coach.textContent = coachLine(settings.tool))
        settings.addEventListener("change", this.refresh)
        this.refresh()
    }

    /** `state`: opening, idle, live, resting, waiting, lost, refused; `message`: instead of its own words. */
    show(state, message = "") {
        Object.assign(this, { state, message })
        this.root.dataset.state = state
        const words = message || (WORDS[state] ?? "")
        // Screen readers say each change.
        if (this.text.textContent !== words) this.text.textContent = words
        this.count()
    }

    /** A picture has arrived. */
    arrived(steps) {
        const now = performance.now()
        this.steps += steps
        this.times = [...this.times.filter((time) => time > now - SECOND), now]
        this.count()
    }

    count() {
        const rate = this.state === "live" && this.times.length > 1 ? `${this.times.length} pictures/s` : ""
        const steps = this.steps ? `${this.steps} steps` : ""
        this.numbers.textContent = [rate, steps, this.size].filter(Boolean).join("  ·  ")
    }

    close() {
        settings.removeEventListener("change", this.refresh)
    }
}
