// Follow links: up to the source of the classifier, and down to the node that a class is typed for.

import { app } from "../../../scripts/app.js"

const CLASSIFIER = "ROBUST_CLASSIFIER"
// The nodes that make classifiers, and the widget that decides their classes.
const NAMED_BY = { RobustLoadClassifier: "classifier", RobustTrainClassifier: "folder" }
const CLASS_INPUT = "target_class"
// The ids of the two boundaries inside of a subgraph: numbers in older front ends, texts in newer ones.
const FROM_OUTSIDE = -10
const TO_OUTSIDE = -20

/** What to ask the server for the classes of the classifier that `node` is connected to; undefined if there is none. */
export function classQuery(node) {
    const seen = new Set()
    while (node && !seen.has(node)) {
        seen.add(node)
        const widget = NAMED_BY[node.comfyClass]
        if (widget) return String(new URLSearchParams({ [widget]: widgetValue(node, widget) ?? "" }))
        // Other nodes pass a classifier on: reroutes, Fit Class Seeds, bypassed nodes.
        const input = node.inputs?.find(({ type }) => type === CLASSIFIER) ?? node.inputs?.[0]
        node = input && origin(node, input)?.node
    }
    return undefined
}

/** The node whose target class is typed into that widget: its own, or one it is linked or promoted to. */
export function classNode(node, widgetName, seen = new Set()) {
    if (seen.has(node)) return undefined
    seen.add(node)
    if (node.comfyClass?.startsWith("Robust")) return widgetName === CLASS_INPUT ? node : undefined
    if (node.isSubgraphNode?.()) {
        const slot = node.inputs.findIndex(({ widget }) => widget?.name === widgetName)
        return target(node.subgraph, node.subgraph.inputs[slot]?.linkIds, seen)
    }
    return node.comfyClass === "PrimitiveString" ? target(node.graph, node.outputs[0].links, seen) : undefined
}

function target(graph, links, seen) {
    for (const id of links ?? []) {
        const link = graph.getLink(id)
        const node = graph.getNodeById(link?.target_id)
        const name = node?.inputs[link.target_slot]?.widget?.name
        const found = name && classNode(node, name, seen)
        if (found) return found
    }
    return undefined
}

function widgetValue(node, name) {
    const input = node.inputs?.find(({ widget }) => widget?.name === name)
    const from = input && origin(node, input)
    // A loader inside of a subgraph may have its widget on the outside.
    if (from?.promoted) return from.promoted.value
    return from ? from.node.widgets?.[0]?.value : node.widgets?.find((widget) => widget.name === name)?.value
}

/** The node whose output arrives at `input`; at the border of a subgraph, the one on the other side. */
function origin(node, input) {
    const link = input.link == null ? undefined : node.graph.getLink(input.link)
    if (!link) return undefined
    if (Number(link.origin_id) === FROM_OUTSIDE) {
        const host = hostOf(node.graph)
        const outer = host?.inputs[link.origin_slot]
        if (!outer) return undefined
        const promoted = host.widgets?.find(({ name }) => name === outer.widget?.name)
        return origin(host, outer) ?? (promoted && { node: host, promoted })
    }
    return inside(node.graph.getNodeById(link.origin_id), link.origin_slot)
}

function inside(node, slot) {
    if (!node?.isSubgraphNode?.()) return node ? { node } : undefined
    const link = node.subgraph.getLink(node.subgraph.outputs[slot]?.linkIds[0])
    if (!link || Number(link.target_id) !== TO_OUTSIDE) return undefined
    if (Number(link.origin_id) === FROM_OUTSIDE) return origin(node, node.inputs[link.origin_slot])
    return inside(node.subgraph.getNodeById(link.origin_id), link.origin_slot)
}

function hostOf(subgraph) {
    const { rootGraph } = app
    const graphs = [rootGraph, ...rootGraph.subgraphs.values()]
    return graphs.flatMap(({ nodes }) => nodes).find((node) => node.subgraph === subgraph)
}
