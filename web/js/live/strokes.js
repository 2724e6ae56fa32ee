// What the hand did and the server has not done yet, in its order. One request at a time; the next picture is asked
// for when the last one has arrived.

import { RefusedError } from "./connection.js"
import { sleep } from "./elements.js"
import { ClosedError, ReopenedError, WAITING } from "./session.js"

const MOST_POINTS = 500
const WAIT = 250
// Points came to a server that has no stroke under way (any more).
const NO_STROKE = 409
// Without network there is nothing that grows while the hand rests.
const AT_ONCE = ["colour", "restore"]
// How far a filled selection grows, at least.
const FILL_STEPS = 24

/** One press of the pointer, or a filled selection. */
export class Stroke {
    constructor(brush, shape, points, changed) {
        Object.assign(this, { brush, shape, changed, pending: [...points], points: [...points] })
        Object.assign(this, { taken: 0, steps: 0 })
        Object.assign(this, { begun: false, ended: false, cancelled: false, over: false, held: true })
    }

    add(points) {
        this.pending.push(...points)
        this.points.push(...points)
        this.changed()
    }

    end() {
        this.held = false
        if (this.shape === "path" || this.grown()) this.ended = true
        this.changed()
    }

    cancel() {
        this.cancelled = true
        this.changed()
    }

    /** What to send next, `[name, body]`; null where there is nothing, until the hand moves. */
    next() {
        if (this.cancelled) return this.begun ? ["cancel", {}] : null
        const points = this.pending.slice(0, MOST_POINTS)
        if (!this.begun) return ["stroke", { brush: this.brush, shape: this.shape, points }]
        const end = this.ended && points.length === this.pending.length
        const rests = !points.length && !end
        return rests && AT_ONCE.includes(this.brush.kind) ? null : ["points", { points, end }]
    }

    answered([name, body], live) {
        if (name === "cancel") this.over = true
        else {
            this.begun = true
            this.taken += body.points.length
            this.pending.splice(0, body.points.length)
            this.steps += live.steps ?? 0
            this.over = Boolean(body.end)
            // Of an area beyond the picture nothing ever changes.
            if (!this.held && (this.grown() || (this.shape === "area" && !live.box))) this.ended = true
        }
    }

    grown() {
        return this.steps >= FILL_STEPS || (AT_ONCE.includes(this.brush.kind) && this.begun)
    }

    /** The session was opened again: go on with what was not sent. */
    lost() {
        this.begun = false
        if (this.cancelled || (this.ended && !this.pending.length)) this.over = true
        // The hand is still there.
        else if (this.shape === "area") this.pending = [...this.points]
        else if (!this.pending.length) this.pending.push(...this.points.slice(-1))
    }

    get discarded() {
        return this.over || (this.cancelled && !this.begun)
    }
}

/** Undo or redo. */
class Turn {
    constructor(name) {
        Object.assign(this, { name, over: false })
    }

    next = () => [this.name, {}]
    answered = () => (this.over = true)
    lost = () => (this.over = true)

    get discarded() {
        return this.over
    }
}

export class Strokes {
    /**
     * @param session an opened Session.
     * @param events `answered(live, picture, name)`, awaited; `idle()`: nothing is left to do, awaited;
     *     `refused(message)`; `queued()`: what is waiting has changed; `busy(whether)`; `said(text, kind)`, as that of
     *     Session.
     */
    constructor(session, events) {
        Object.assign(this, { session, events, queue: [], resting: false, running: null, stopped: false })
    }

    begin(brush, shape, points) {
        const stroke = new Stroke(brush, shape, points, () => this.run())
        this.push(stroke)
        return stroke
    }

    turn(name) {
        this.push(new Turn(name))
    }

    push(action) {
        this.queue.push(action)
        this.run()
    }

    /** The session was opened again, its strokes finished. */
    reset() {
        this.resting = false
    }

    stop() {
        this.stopped = true
    }

    /** Until all that the hand did has been sent; details may be left to do. */
    async sent(milliseconds) {
        const until = performance.now() + milliseconds
        while (this.queue.length && performance.now() < until) await sleep(20)
    }

    run() {
        this.events.queued()
        if (this.running) return
        this.events.busy(true)
        this.running = this.work().finally(() => {
            this.running = null
            this.events.busy(false)
        })
    }

    async work() {
        try {
            while (!this.stopped) if (!(await this.step())) break
        } catch (error) {
            if (!(error instanceof ClosedError)) throw error
        }
    }

    async step() {
        while (this.queue[0]?.discarded) this.queue.shift()
        const action = this.queue[0]
        if (!action && !this.resting) {
            await this.events.idle()
            return this.queue.length > 0
        }
        const sending = action ? action.next() : ["rest", {}]
        if (!sending) return false
        try {
            const { live, picture } = await this.session.send(...sending)
            if (live.state === "waiting") {
                this.events.said(WAITING, "waiting")
                await this.session.pause(WAIT)
                return true
            }
            this.resting = live.state === "resting"
            action?.answered(sending, live)
            await this.events.answered(live, picture, sending[0])
        } catch (error) {
            this.failed(action, error)
        }
        this.events.queued()
        return true
    }

    failed(action, error) {
        this.resting = false
        const isOver = error instanceof RefusedError && error.status === NO_STROKE && action?.begun
        if (error instanceof ReopenedError || isOver) action?.lost()
        else if (error instanceof RefusedError) {
            // An over action leaves the queue; the points that its hand still brings go nowhere.
            if (action) action.over = true
            this.events.refused(error.message)
        } else throw error
    }
}
