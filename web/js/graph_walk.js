// Follow links: up to the source of the classifier, and down to the node that a class is typed for.
// A place is a node and its hosts: the subgraph nodes around it, the outermost first. All instances of a subgraph share
// its nodes, so that a node alone does not tell what is connected to it.

import { app } from "../../../scripts/app.js"

const CLASSIFIER = "ROBUST_CLASSIFIER"
// The nodes that make classifiers, and the widget that decides their classes.
const NAMED_BY = { RobustLoadClassifier: "classifier", RobustTrainClassifier: "folder", RobustTextClasses: "texts" }
// The nodes that change a classifier on its way.
const CHANGED_BY = ["RobustCombineClassifiers", "RobustFitSeeds"]
const CLASS_INPUT = "target_class"
const BYPASSED = 4
// The ids of the two boundaries inside of a subgraph: numbers in older front ends, texts in newer ones.
const FROM_OUTSIDE = -10
const TO_OUTSIDE = -20

// From a subgraph to the instance through which the user opened it last.
const openedThrough = new WeakMap()

export function watchSubgraphs(canvas) {
    canvas.canvas.addEventListener("subgraph-opened", ({ detail }) => {
        if (detail.fromNode) openedThrough.set(detail.subgraph, detail.fromNode)
    })
}

/** The place of a node in the graph that the user sees. */
export function placeOf(node) {
    const hosts = []
    for (let host = hostOf(node.graph); host; host = hostOf(host.graph)) hosts.unshift(host)
    return { node, hosts }
}

/** What to ask the server for the classes of the classifier that a place is connected to; undefined if there is none. */
export function classQuery(place) {
    // Other nodes pass the classes on: Reroutes, what changes a classifier, bypassed nodes.
    const maker = sourceOf(place, isMaker, nextClassifier)
    const widget = NAMED_BY[maker?.node.comfyClass]
    return widget && String(new URLSearchParams({ [widget]: widgetOf(maker, widget)?.value ?? "" }))
}

/** The place of the last node that made or changed the classifier that a place is connected to, if there is one. */
export function classifierPlace(place) {
    const changes = ({ node }) => CHANGED_BY.includes(node.comfyClass) && node.mode !== BYPASSED
    return sourceOf(place, (found) => isMaker(found) || changes(found), nextClassifier)
}

const isMaker = ({ node }) => node.comfyClass in NAMED_BY

const nextClassifier = ({ node }) => node.inputs?.find(({ type }) => type === CLASSIFIER) ?? node.inputs?.[0]

/** The place whose picture arrives at a place's input of that name, through reroutes and bypassed nodes. */
export function picturePlace(place, name) {
    const passesOn = ({ node }) => node.type === "Reroute" || node.mode === BYPASSED
    const next = ({ node }) => node.inputs?.find(({ type }) => type === "IMAGE") ?? node.inputs?.[0]
    const input = place.node.inputs?.find((one) => one.name === name)
    return sourceOf(input && origin(place, input), (found) => !passesOn(found), next)
}

/** The place whose target class is typed into that widget of a place: itself, or one it is linked or promoted to. */
export function classPlace(place, widgetName, seen = new Set()) {
    if (seen.has(key(place))) return undefined
    seen.add(key(place))
    const { node, hosts } = place
    if (node.comfyClass?.startsWith("Robust")) return widgetName === CLASS_INPUT ? place : undefined
    if (node.isSubgraphNode?.()) {
        const slot = node.inputs.findIndex(({ widget }) => widget?.name === widgetName)
        return target(node.subgraph, node.subgraph.inputs[slot]?.linkIds, [...hosts, node], seen)
    }
    return node.comfyClass === "PrimitiveString" ? target(node.graph, node.outputs[0].links, hosts, seen) : undefined
}

const key = ({ node, hosts }) => [...hosts, node].map(({ id }) => id).join("/")

function target(graph, links, hosts, seen) {
    for (const id of links ?? []) {
        const link = graph.getLink(id)
        const node = graph.getNodeById(link?.target_id)
        const name = node?.inputs[link.target_slot]?.widget?.name
        const found = name && classPlace({ node, hosts }, name, seen)
        if (found) return found
    }
    return undefined
}

/** The widget that decides a value of a node: its own, that of a primitive, or one outside of its subgraph. */
export function widgetOf(place, name) {
    const { node } = place
    const input = node.inputs?.find(({ widget }) => widget?.name === name)
    const from = input && origin(place, input)
    if (from?.promoted) return from.promoted
    return from ? from.node.widgets?.[0] : node.widgets?.find((widget) => widget.name === name)
}

/** The first place that is wanted, on the way up from one. */
function sourceOf(place, isWanted, nextInput) {
    const seen = new Set()
    while (place && !isWanted(place)) {
        if (seen.has(key(place))) return undefined
        seen.add(key(place))
        const input = nextInput(place)
        place = input && origin(place, input)
    }
    return place
}

/** The place whose output arrives at `input`; at the border of a subgraph, the one on the other side. */
function origin({ node, hosts }, input) {
    const link = input.link == null ? undefined : node.graph.getLink(input.link)
    if (!link) return undefined
    if (Number(link.origin_id) === FROM_OUTSIDE) {
        const host = { node: hosts.at(-1), hosts: hosts.slice(0, -1) }
        const outer = host.node?.inputs[link.origin_slot]
        if (!outer) return undefined
        const promoted = host.node.widgets?.find(({ name }) => name === outer.widget?.name)
        return origin(host, outer) ?? (promoted && { ...host, promoted })
    }
    return inside({ node: node.graph.getNodeById(link.origin_id), hosts }, link.origin_slot)
}

function inside({ node, hosts }, slot) {
    // A bypassed subgraph passes on what arrives, whatever is in it.
    if (!node?.isSubgraphNode?.() || node.mode === BYPASSED) return node ? { node, hosts } : undefined
    const link = node.subgraph.getLink(node.subgraph.outputs[slot]?.linkIds[0])
    if (!link || Number(link.target_id) !== TO_OUTSIDE) return undefined
    if (Number(link.origin_id) === FROM_OUTSIDE) return origin({ node, hosts }, node.inputs[link.origin_slot])
    return inside({ node: node.subgraph.getNodeById(link.origin_id), hosts: [...hosts, node] }, link.origin_slot)
}

/** The instance through which the user sees a subgraph; undefined for the root graph. */
function hostOf(graph) {
    const { rootGraph } = app
    const instances = [rootGraph, ...rootGraph.subgraphs.values()].flatMap(({ nodes }) => nodes)
    const opened = openedThrough.get(graph)
    return instances.includes(opened) ? opened : instances.find((node) => node.subgraph === graph)
}
