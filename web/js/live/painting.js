// The painting in the dialog: how it begins, what is done to it, and how it ends.

import { fetchClasses } from "../class_names.js"
import { classQuery } from "../graph_walk.js"
import { RefusedError } from "./connection.js"
import { sleep } from "./elements.js"
import { uploaded } from "./photos.js"
import { ClosedError, Session } from "./session.js"
import { settings } from "./settings.js"
import { StartPanel } from "./start_panel.js"
import { Strokes } from "./strokes.js"

const LONGEST_BEFORE = 2048
const PATIENCE = 60_000
const NO_CLASSIFIER = "Connect a Load Robust Classifier to this node's classifier first: it paints the classes."
const FROM_ANOTHER = (title) =>
    `The Live Canvas reads a classifier from its file, and this one comes from ${title}: put Save Robust Classifier ` +
    "behind that, run the graph, press R, and connect a Load Robust Classifier with the new file."
const NOT_RUN = "Run the graph once, so that the picture that is wired in is there. Or begin with something else:"

export class Painting {
    /** @param view the LiveDialog. */
    constructor(target, view) {
        Object.assign(this, { target, view, session: null, strokes: null, panel: null, undo: 0, redo: 0 })
        Object.assign(this, { open: false, painted: false, stale: null, held: false, afresh: false })
    }

    async start() {
        const classifier = this.target.classifier()
        if (!classifier) {
            const { classifierFrom } = this.target
            const why = classifierFrom ? FROM_ANOTHER(classifierFrom) : NO_CLASSIFIER
            return this.view.ask(why, [["Close", () => this.view.done()]])
        }
        this.classifier = classifier
        this.listClasses()
        const { wired, base } = this.target.picture()
        this.wired = base
        if (this.target.painting || base) await this.begin(base)
        else this.choose(wired ? NOT_RUN : "")
    }

    async listClasses() {
        const answer = await fetchClasses(classQuery(this.target.place))
        this.classes = answer
        this.view.palette.fill(answer)
        this.panel?.fill(answer)
    }

    /** The panel with what a painting may begin with. */
    choose(message = "") {
        const leave = this.open ? () => this.back() : null
        // A painting that could not be opened is not asked for again.
        this.afresh = true
        this.panel = new StartPanel(this.open ? this.view.surface : this.target.size, {
            begin: (base) => this.begin(base),
            photo: () => this.view.photo(),
            leave,
        })
        if (this.classes) this.panel.fill(this.classes)
        this.panel.say(message)
        this.view.put(this.panel.root)
        this.view.show({ state: "idle" })
    }

    /** Away from the panel, if there is something to go back to. */
    back() {
        if (!this.panel || !this.open) return false
        this.panel = null
        this.view.put(null)
        return true
    }

    /** Open the painting on a base; where one is open, it goes on with the base, with its strokes or without. */
    async begin(base, how = "anew") {
        this.panel = null
        this.view.put(null)
        this.view.show({ state: "opening" })
        if (base?.kind === "seed") settings.paintWith("class", { what: { ...settings.what, class: base.what } })
        try {
            if (this.session) await this.rebase(how, base)
            else await this.enter(base)
        } catch (error) {
            this.failed(error, base)
        }
    }

    async enter(base) {
        const { target } = this
        const painting = this.afresh ? "" : target.painting
        const session = new Session(
            { ...this.classifier, painting, fork: Boolean(painting) && target.isCopied, base },
            {
                opened: (live) => this.opened(live),
                said: (text, kind) => this.said(text, kind),
                named: (name) => (target.painting = name),
            },
        )
        this.session = session
        try {
            await session.open()
        } catch (error) {
            this.session = null
            throw error
        }
        this.begun()
        const { painting: name, base_changed: baseChanged } = session.first
        if (baseChanged && this.wired) this.offer(this.wired, "Another picture is wired in.", "Keep as it is")
        // What the node gives without a painting needs no name: the picture that is wired in.
        if (session.wanted.fork || base !== this.wired) session.changed(name)
    }

    begun() {
        this.view.palette.begin()
        this.strokes = new Strokes(this.session, {
            answered: (live, picture, name) => this.answered(live, picture, name),
            idle: () => this.settle(),
            refused: (message) => this.view.show({ state: "refused", message }),
            queued: () => this.queued(),
            busy: (busy) => (this.view.stage.ariaBusy = String(busy)),
            said: (text, kind) => this.said(text, kind),
        })
        this.view.show({ state: "idle", message: this.session.message })
    }

    async rebase(how, base) {
        await this.halt()
        try {
            await this.session.rebase(how, base)
        } finally {
            this.begun()
        }
    }

    /** All that the hand did is on the server, and nothing is under way. */
    async halt() {
        await this.strokes.sent(PATIENCE)
        this.strokes.stop()
        await this.strokes.running
    }

    /** The session is there, for the first time or again: what is on the screen is what the server has. */
    async opened(live) {
        const { picture } = await this.session.read("picture")
        const { surface } = this.view
        const { width, height } = surface
        await surface.replace(picture)
        // A selection is a part of the picture.
        if (surface.width !== width || surface.height !== height) this.view.select(null)
        settings.suit(live.width, live.height)
        Object.assign(this, { open: true, undo: live.undo, redo: live.redo, painted: live.strokes > 0, stale: null })
        this.strokes?.reset()
        this.view.show()
    }

    failed(error, base) {
        if (error instanceof ClosedError) return
        if (!(error instanceof RefusedError)) throw error
        if (this.open) return this.view.show({ state: "refused", message: error.message })
        const choices = [
            ["Try again", () => this.begin(base)],
            ["Begin with something else", () => this.choose()],
            ["Close", () => this.view.done()],
        ]
        this.view.show({ state: "refused" })
        this.view.ask(error.message, choices)
    }

    /** Ask what to do with the strokes on another picture. */
    offer(base, text, keep) {
        const replay = ["Replay the strokes on it", () => this.begin(base, "replay")]
        const choices = [
            ...(this.painted ? [replay] : []),
            [keep, () => this.view.put(null)],
            ["Begin anew on it", () => this.begin(base, "anew")],
        ]
        this.view.ask(text, choices, { banner: true })
    }

    /** A picture from outside. */
    async bring(file) {
        if (!this.classifier) return
        this.view.show({ state: "opening", message: "Uploading..." })
        try {
            const base = await uploaded(file)
            this.view.show({ state: "idle" })
            if (this.painted) {
                this.panel = null
                this.offer(base, `${file.name || "The picture"} is here.`, "Leave it")
            } else await this.begin(base)
        } catch (error) {
            this.view.show({ state: "refused", message: error.message })
        }
    }

    /** Begin a stroke; null where the brush has nothing to paint with. */
    stroke(shape, points, values = {}) {
        if (!this.open || this.panel) return null
        const { missing } = settings
        if (missing) {
            this.view.show({ state: "refused", message: missing })
            this.view.palette.open(settings.brush)
            return null
        }
        return this.strokes.begin({ ...settings.asBrush(), ...values }, shape, points)
    }

    /** What was painted and not sent yet can be taken back, too. */
    get undoable() {
        return this.undo || this.strokes?.queue.length || 0
    }

    turn(name) {
        const possible = name === "undo" ? this.undoable : this.redo
        if (this.open && !this.panel && possible) this.strokes.turn(name)
    }

    async answered(live, picture, name) {
        if (live.box && picture) {
            await this.view.surface.patch(picture, live.box)
            this.stale = live.state === "done" ? without(this.stale, live.box) : union(this.stale, live.box)
            this.view.status.arrived(live.steps ?? 0)
        }
        Object.assign(this, { undo: live.undo, redo: live.redo })
        if (name !== "cancel" && ["resting", "done"].includes(live.state)) {
            this.painted = true
            this.session.changed(live.painting)
        }
        this.view.show({ state: live.state === "done" ? "idle" : live.state, message: live.message })
    }

    queued() {
        this.view.overlay.strokes = this.strokes.queue.filter((action) => action.points && !action.discarded)
        this.view.overlay.draw()
    }

    /** Nothing is left to do: where only previews were seen, get the exact pixels. */
    async settle() {
        if (this.stale) {
            const { picture } = await this.session.read(`picture?box=${this.stale.join(",")}`)
            await this.view.surface.patch(picture, this.stale)
            this.stale = null
        }
        const { state, message } = this.view.status
        this.view.show({ state: state === "refused" ? state : "idle", message })
    }

    said(text, kind) {
        if (text) this.view.show({ state: kind, message: text })
        else if (["waiting", "lost"].includes(this.view.status.state)) this.view.show({ state: "idle" })
    }

    /** What is seen at a point: its colour, or the classes and features there. */
    async pick(point) {
        const { surface, palette } = this.view
        if (!this.open || !surface.holds(point)) return
        if (palette.shown === "colour") return settings.paintWith("colour", { colour: surface.colourAt(point) })
        try {
            const body = { x: Math.floor(point.x), y: Math.floor(point.y), size: settings.size }
            const { live } = await this.session.read("look", body)
            palette.found(live)
        } catch (error) {
            this.failed(error)
        }
    }

    /** The URL of what a `feature` looks like, or a `class`; "" where it cannot be had. */
    async pictureOf(kind, number) {
        // A picture takes as long as many steps of the brush.
        while (this.strokes?.running) await this.strokes.running
        try {
            const { picture } = await this.session.read(`${kind}?number=${number}`)
            return picture ? URL.createObjectURL(picture) : ""
        } catch (error) {
            if (error instanceof RefusedError || error instanceof ClosedError) return ""
            throw error
        }
    }

    async showBefore(shown) {
        const { surface } = this.view
        if (!this.open) return
        this.held = shown
        if (shown && !surface.knowsBefore) {
            try {
                const { picture } = await this.session.read(`before?longest=${LONGEST_BEFORE}`)
                surface.showBefore(picture)
            } catch (error) {
                this.failed(error)
            }
        }
        surface.before.hidden = !this.held || !surface.knowsBefore
    }

    /** Save the picture as it is to the user's disk. */
    async save() {
        try {
            const { picture } = await this.session.read("picture")
            const url = URL.createObjectURL(picture)
            Object.assign(document.createElement("a"), { href: url, download: "live-canvas.png" }).click()
            await sleep(1000)
            URL.revokeObjectURL(url)
        } catch (error) {
            this.failed(error)
        }
    }

    /** Save it on the server, and its name in the node. */
    async finish() {
        if (!this.session) return
        await this.strokes?.sent(PATIENCE)
        this.strokes?.stop()
        await Promise.race([this.strokes?.running, sleep(2000)])
        const name = await this.session.close()
        if (name && (this.painted || this.session.wanted.painting)) this.target.painting = name
    }

    close() {
        this.strokes?.stop()
        this.session?.close().catch(() => {})
    }
}

/** The box around two boxes `[left, top, width, height]`, of which the first may be null. */
function union(one, other) {
    if (!one) return other
    const [left, top] = [0, 1].map((axis) => Math.min(one[axis], other[axis]))
    const [right, bottom] = [0, 1].map((axis) => Math.max(one[axis] + one[axis + 2], other[axis] + other[axis + 2]))
    return [left, top, right - left, bottom - top]
}

/** A box, or null if the other one holds it. */
function without(box, other) {
    return box && union(box, other).every((value, index) => value === other[index]) ? null : box
}
