// What the dialog reads from the graph, and the one value that it writes.

import { app } from "../../../../scripts/app.js"
import { classifierPlace, picturePlace, placeOf, widgetOf } from "../graph_walk.js"

export const CANVAS = "RobustCanvas"
const LOADER = "RobustLoadClassifier"
// A file name as Load Image has it: folders, and where it lies.
const FILE = /^(?:(.*)\/)?([^/]+?)(?: \[(input|output|temp)\])?$/

export class CanvasNode {
    constructor(node) {
        this.node = node
        this.place = placeOf(node)
        this.root = app.rootGraph
    }

    /** Whether the node is still in the graph that the user works on. */
    get present() {
        const { graph } = this.node
        const isShown = graph === this.root || this.root.subgraphs.get(graph?.id) === graph
        return app.rootGraph === this.root && isShown && graph.getNodeById(this.node.id) === this.node
    }

    /** The title of the node that the classifier comes from; undefined where there is none. */
    get classifierFrom() {
        return classifierPlace(this.place)?.node.title
    }

    /** The values of the loader of the classifier; undefined where it comes from another node. */
    classifier() {
        const loader = classifierPlace(this.place)
        if (loader?.node.comfyClass !== LOADER) return undefined
        const names = ["classifier", "input_size", "mean", "std"]
        const values = names.map((name) => [name, widgetOf(loader, name)?.value])
        return Object.fromEntries(values.filter(([, value]) => value))
    }

    get painting() {
        return widgetOf(this.place, "painting")?.value ?? ""
    }

    set painting(name) {
        const widget = widgetOf(this.place, "painting")
        if (!widget || !this.present || widget.value === name) return
        widget.value = name
        widget.callback?.(name)
        this.node.graph.setDirtyCanvas(true, true)
        // One change of the graph, which is kept with it at once.
        app.extensionManager.workflow?.activeWorkflow?.changeTracker?.captureCanvasState?.()
    }

    get size() {
        const [width, height] = ["width", "height"].map((name) => Number(widgetOf(this.place, name)?.value) || 768)
        return { width, height }
    }

    /** Whether another node has the same painting, because one is a copy of the other. */
    get isCopied() {
        const folder = folderOf(this.painting)
        const graphs = [app.rootGraph, ...app.rootGraph.subgraphs.values()]
        const others = graphs.flatMap(({ nodes }) => nodes).filter((node) => node !== this.node)
        const paintingOf = (node) => node.widgets?.find(({ name }) => name === "painting")?.value ?? ""
        const isSame = (node) => node.comfyClass === CANVAS && folderOf(paintingOf(node)) === folder
        return Boolean(folder) && others.some(isSame)
    }

    /** `{wired, base}`: whether a picture is wired in, and where it is, if that is known. */
    picture() {
        const wired = this.node.inputs?.find(({ name }) => name === "image")?.link != null
        if (!wired) return { wired, base: null }
        return { wired, base: this.loadedFile() ?? this.lastBase() }
    }

    loadedFile() {
        const place = picturePlace(this.place, "image")
        if (!["LoadImage", "LoadImageOutput"].includes(place?.node.comfyClass)) return null
        const value = widgetOf(place, "image")?.value
        const [, subfolder = "", filename, type = "input"] = String(value ?? "").match(FILE) ?? []
        return filename ? { kind: "file", filename, subfolder, type } : null
    }

    /** The picture that arrived when the graph ran last. */
    lastBase() {
        const { graph, id } = this.node
        const locator = graph === this.root ? String(id) : `${graph.id}:${id}`
        const [base] = app.nodeOutputs?.[locator]?.robust_canvas_base ?? []
        return base ? { kind: "file", ...base } : null
    }
}

/** `robust_canvas/<id>` of the name of a painting. */
const folderOf = (painting) => painting.split("/").slice(0, -1).join("/")
