// The list of Load Robust Classifier shows a note behind each name. The values stay the names alone.

import { api } from "../../../scripts/api.js"
import { app } from "../../../scripts/app.js"

let notes = {}

async function refresh() {
    const answer = await api.fetchApi("/robust_synthesis/classifiers")
    if (!answer.ok) return
    notes = await answer.json()
    app.canvas?.setDirty(true, true)
}

function label(name) {
    // A wide space, because the menus collapse plain ones.
    return notes[name] ? `${name}\u2003${notes[name]}` : (name ?? "")
}

app.registerExtension({
    name: "RobustSynthesis.ClassifierLabels",
    async setup() {
        // A run may have downloaded one.
        api.addEventListener("execution_success", refresh)
        await refresh()
    },
    nodeCreated(node) {
        if (node.comfyClass !== "RobustLoadClassifier") return
        node.widgets.find(({ name }) => name === "classifier").options.getOptionLabel = label
    },
    // The R key.
    refreshComboInNodes: refresh,
})
