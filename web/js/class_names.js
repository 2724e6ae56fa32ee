// The class names of a classifier, from the server.

import { api } from "../../../scripts/api.js"

// Only what is not empty is kept: a classifier that is not here yet may be after the next run.
const known = new Map()

/** What the server said last time, if it knew the classes. */
export const knownClasses = (classifier) => known.get(classifier)

/** `{classes, message}`: for each class its names, and what to say where there are none. */
export async function fetchClasses(classifier) {
    const answer = await api.fetchApi(`/robust_synthesis/classes?classifier=${encodeURIComponent(classifier)}`)
    if (!answer.ok) return { classes: [], message: `The classes of ${classifier} cannot be listed.` }
    const { classes, message } = await answer.json()
    if (classes.length) known.set(classifier, { classes, message })
    else known.delete(classifier)
    return { classes, message }
}
