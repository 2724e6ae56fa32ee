// The class names of a classifier, from the server.

import { api } from "../../../scripts/api.js"

// Empty answers are not kept: the next run may download the classifier.
const known = new Map()

/** What the server said last time, if it knew the classes. */
export const knownClasses = (query) => known.get(query)

/** `{classes, message}`: for each class its names, and what to say where there are none. */
export async function fetchClasses(query) {
    const answer = await api.fetchApi(`/robust_synthesis/classes?${query}`)
    if (!answer.ok) return { classes: [], message: "The classes of this classifier cannot be listed." }
    const { classes, message } = await answer.json()
    if (classes.length) known.set(query, { classes, message })
    else known.delete(query)
    return { classes, message }
}
