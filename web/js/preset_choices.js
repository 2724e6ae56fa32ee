// R shows the user's new presets in nodes that are in the graph already; the front end refreshes only plain combos.

import { app } from "../../../scripts/app.js"

app.registerExtension({
    name: "RobustSynthesis.PresetChoices",
    refreshComboInNodes(definitions) {
        const { rootGraph } = app
        const graphs = [rootGraph, ...rootGraph.subgraphs.values()]
        for (const node of graphs.flatMap(({ nodes }) => nodes)) {
            if (!node.comfyClass?.startsWith("Robust")) continue
            const preset = definitions[node.comfyClass]?.input.optional?.preset
            const widget = node.widgets?.find(({ name }) => name === "preset")
            if (preset && widget) widget.options.values = preset[1].options.map(({ key }) => key)
        }
    },
})
