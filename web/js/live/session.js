// A painting that is open on the server. Whatever happens to the connection, it is opened again by its name.

import { GoneError, LostError, postedPath, RefusedError, request } from "./connection.js"
import { sleep } from "./elements.js"

const WAIT = 250
export const WAITING = "Waiting: a workflow is running. It goes on by itself."
const LOST = "The connection was lost. Trying again..."
const RETRIES = [300, 600, 1200, 2500, 5000]

/** The painting was opened again instead: whether the request was taken is not known, the picture on the server is. */
export class ReopenedError extends Error {}

/** The dialog was closed meanwhile. */
export class ClosedError extends Error {}

export class Session {
    /**
     * @param wanted the body of `open`.
     * @param events `opened(answer)`: opened, again or with another base, awaited; `said(text, kind)`: what it waits
     *     for, with an empty text when it goes on; `named(painting)`: the name to put into the node.
     */
    constructor(wanted, events) {
        // The first answer of `open`.
        Object.assign(this, { wanted, events, id: null, first: null, message: "" })
        this.gone = new AbortController()
    }

    get closed() {
        return this.gone.signal.aborted
    }

    async open() {
        // A session that was lost may still live.
        const { live } = await this.persist("/open", () => ({ ...this.wanted, session: this.id ?? "" }))
        await this.entered(live)
    }

    async entered(live) {
        this.id = live.session
        this.first ??= live
        this.message = live.message
        await this.events.opened(live)
    }

    /** One POST; `waiting` is an answer like others. ReopenedError: the connection or the session was lost. */
    async send(name, body) {
        const { id } = this
        try {
            const answer = await this.ask(postedPath(id, name), body)
            if (answer.live.state !== "waiting") this.events.said("")
            return answer
        } catch (error) {
            if (!(error instanceof LostError || error instanceof GoneError)) throw error
            if (error instanceof LostError) this.events.said(LOST, "lost")
            // Another request may have opened it already.
            if (this.id === id) await (this.reopening ??= this.open().finally(() => (this.reopening = null)))
            throw new ReopenedError()
        }
    }

    /** What changes nothing on the server, until it is answered: JSON or a picture. */
    async read(name, body) {
        for (;;) {
            try {
                const answer = body ? await this.send(name, body) : await this.get(name)
                if (answer && answer.live.state !== "waiting") return answer
                if (answer) this.events.said(WAITING, "waiting")
                await this.pause(WAIT)
            } catch (error) {
                if (!(error instanceof ReopenedError)) throw error
            }
        }
    }

    /** One GET; null where it must be asked again. */
    async get(name) {
        const { id } = this
        try {
            const answer = await this.ask(postedPath(id, name))
            if (answer.live.state !== "waiting") this.events.said("")
            return answer
        } catch (error) {
            if (!(error instanceof LostError || error instanceof GoneError)) throw error
            if (error instanceof LostError) this.events.said(LOST, "lost")
            else if (this.id === id) await this.open()
            return null
        }
    }

    /** Another base; the strokes are replayed on it, or left out. */
    async rebase(how, base) {
        const { live } = await this.persist(() => postedPath(this.id, "base"), () => ({ how, base }))
        Object.assign(this.wanted, { base })
        this.changed(live.painting)
        await this.entered({ ...live, session: live.session ?? this.id })
    }

    /** The painting has a name of its own in this session: from now on it is opened by that. */
    changed(painting) {
        if (this.wanted.painting === painting) return
        Object.assign(this.wanted, { painting, fork: false })
        this.events.named(painting)
    }

    /**
     * Save and free it. The name of the painting, or "" if the server could not be reached in time. RefusedError: it
     * could not be saved, and is still open on the server.
     */
    async close() {
        const { id } = this
        this.gone.abort()
        this.id = null
        if (!id) return ""
        try {
            for (;;) {
                const { live } = await request(postedPath(id, "close"), { body: {}, signal: AbortSignal.timeout(8000) })
                if (live.state !== "waiting") return live.painting ?? ""
                await sleep(WAIT)
            }
        } catch (error) {
            if (error instanceof RefusedError) {
                this.id = id
                throw error
            }
            // The server keeps every finished stroke, and frees what is idle.
            return ""
        }
    }

    /** The same request until the server has taken it. */
    async persist(path, body) {
        for (let tries = 0; ; tries++) {
            try {
                const answer = await this.ask(typeof path === "string" ? path : path(), body())
                if (answer.live.state !== "waiting") {
                    this.events.said("")
                    return answer
                }
                this.events.said(WAITING, "waiting")
                await this.pause(WAIT)
            } catch (error) {
                if (error instanceof GoneError) await this.open()
                else if (error instanceof LostError) {
                    this.events.said(LOST, "lost")
                    await this.pause(RETRIES[Math.min(tries, RETRIES.length - 1)])
                } else throw error
            }
        }
    }

    async ask(path, body) {
        await this.visible()
        try {
            return await request(path, { body, signal: this.gone.signal })
        } catch (error) {
            if (this.closed) throw new ClosedError()
            throw error
        }
    }

    async pause(milliseconds) {
        await sleep(milliseconds)
        if (this.closed) throw new ClosedError()
    }

    /** A page that nobody sees asks for nothing. */
    async visible() {
        while (document.hidden && !this.closed) {
            await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }))
        }
        if (this.closed) throw new ClosedError()
    }
}
