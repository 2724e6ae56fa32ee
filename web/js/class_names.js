// The class names of a classifier, from the server.

import { api } from "../../../scripts/api.js"

// Empty answers are not kept: the next run may download the classifier.
const known = new Map()

/** What the server said last time, if it knew the classes. */
export const knownClasses = (query) => known.get(query)

/**
 * `{classes, message, sheet}`: for each class its names, what to say where there are none, and the sheet with a small
 * picture of each class, `{url, columns}`, or null.
 */
export async function fetchClasses(query) {
    const body = new URLSearchParams(query)
    const answer = await api.fetchApi("/robust_synthesis/classes", { method: "POST", body })
    if (!answer.ok) return { classes: [], message: "The classes of this classifier cannot be listed.", sheet: null }
    const { classes, message, sheet } = await answer.json()
    if (sheet) sheet.url = api.apiURL(`/robust_synthesis/thumbnails?${query}`)
    if (classes.length) known.set(query, { classes, message, sheet })
    else known.delete(query)
    return { classes, message, sheet }
}
