// One request to the pack's own routes, and its answer.

import { api } from "../../../../scripts/api.js"

const PATH = "/robust_synthesis/live"
// Nothing that the server does within a request takes longer, but opening: it may replay many strokes.
const LONGEST = 60_000
const LONGEST_OPEN = 900_000

/** The server cannot be reached, or ended while it answered. */
export class LostError extends Error {}

/** The server does not know the session (any more). */
export class GoneError extends Error {}

/** The server said no; the message says why. */
export class RefusedError extends Error {
    constructor(message, status) {
        super(message)
        this.status = status
    }
}

/**
 * `{live, picture}`: the JSON of the answer, and its picture as a blob, or null.
 *
 * @throws LostError, GoneError, RefusedError
 */
export async function request(path, { body, signal } = {}) {
    const options = body
        ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) }
        : { method: "GET" }
    const timeout = AbortSignal.timeout(["/open", "/base"].some((end) => path.endsWith(end)) ? LONGEST_OPEN : LONGEST)
    options.signal = signal ? AbortSignal.any([signal, timeout]) : timeout
    const answer = await reached(api.fetchApi(PATH + path, options))
    if (answer.status === 410) throw new GoneError()
    // What a proxy says while the server behind it is away.
    if ([502, 503, 504].includes(answer.status)) throw new LostError()
    if (!answer.ok) throw new RefusedError(await reasonOf(answer), answer.status)
    const isPicture = answer.headers.get("Content-Type")?.startsWith("image/")
    const content = await reached(isPicture ? answer.blob() : answer.text())
    const header = answer.headers.get("Robust-Live")
    const live = header ? JSON.parse(header) : isPicture || !content ? {} : JSON.parse(content)
    return { live, picture: isPicture && content.size ? content : null }
}

export const postedPath = (session, name) => `/${encodeURIComponent(session)}/${name}`

async function reached(promise) {
    try {
        return await promise
    } catch (error) {
        throw new LostError(error.message)
    }
}

async function reasonOf(answer) {
    try {
        return (await answer.json()).error
    } catch {
        return `The server answered ${answer.status}.`
    }
}
