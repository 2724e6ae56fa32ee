// The list of Load Robust Classifier says behind each name where that classifier is. The values stay the bare names.

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
    // Wide spaces, because the menus make one of several plain ones.
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
