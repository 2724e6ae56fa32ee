// The node Live Canvas: its Open button, a picture of its painting, and the ways into the dialog.

import { api } from "../../../scripts/api.js"
import { app } from "../../../scripts/app.js"
import { CANVAS, CanvasNode } from "./live/canvas_node.js"
import { LiveDialog } from "./live/dialog.js"

const COMMAND = "RobustSynthesis.OpenLiveCanvas"
const SMALLEST = 120

let opened = null

function open(node) {
    if (opened) return
    const target = new CanvasNode(node)
    opened = new LiveDialog(target, () => {
        opened = null
        showPicture(node)
    })
}

function addPicture(node) {
    const picture = Object.assign(document.createElement("img"), { alt: "", hidden: true })
    picture.className = "robust-live-preview"
    // A painting whose file is not on this machine.
    picture.addEventListener("error", () => (picture.hidden = true))
    picture.addEventListener("load", () => (picture.hidden = false))
    const widget = node.addDOMWidget("preview", "ROBUST_CANVAS_PREVIEW", picture, {
        serialize: false,
        hideOnZoom: false,
        getMinHeight: () => SMALLEST,
    })
    widget.serialize = false
    return picture
}

const pictures = new WeakMap()

/** Vue nodes mount an element once: a node in the place of another with its number would show the other's picture. */
function mountPicture(node) {
    if (!LiteGraph.vueNodesMode || app.canvas.graph !== node.graph) return
    const picture = pictures.get(node)
    const mounted = document.querySelector(`[data-node-id="${node.id}"] .robust-live-preview`)
    if (mounted && mounted !== picture) mounted.replaceWith(picture)
}

function showPicture(node) {
    // The node is drawn when this task has ended.
    setTimeout(() => mountPicture(node))
    const [, subfolder, filename] = new CanvasNode(node).painting.match(/^(.*)\/([^/]+)$/) ?? []
    const picture = pictures.get(node)
    if (!filename) {
        picture.removeAttribute("src")
        picture.hidden = true
        return
    }
    const query = new URLSearchParams({ filename, subfolder, type: "input", preview: "webp;80", stamp: Date.now() })
    picture.src = api.apiURL(`/view?${query}`)
}

/** Call `then` after what the node does itself at that event. */
function after(node, event, then) {
    const own = node[event]
    node[event] = function (...values) {
        const result = own?.apply(this, values)
        then()
        return result
    }
}

const selected = () => Object.values(app.canvas.selected_nodes ?? {}).find(({ comfyClass }) => comfyClass === CANVAS)

// Vue nodes have no event of their own for this.
function doubleClicked({ target }) {
    if (!LiteGraph.vueNodesMode || target.closest("button, input, textarea, select, [role=button]")) return
    const id = target.closest("[data-node-id]")?.dataset.nodeId
    const node = id && app.canvas.graph?.getNodeById(id)
    if (node?.comfyClass === CANVAS) open(node)
}

app.registerExtension({
    name: "RobustSynthesis.LiveCanvas",
    commands: [
        {
            id: COMMAND,
            label: "Open Live Canvas",
            icon: "pi pi-palette",
            function: () => {
                const node = selected()
                if (node) open(node)
            },
        },
    ],
    keybindings: [{ combo: { key: "l", alt: true }, commandId: COMMAND }],
    getSelectionToolboxCommands: (item) => (item.comfyClass === CANVAS ? [COMMAND] : []),
    getNodeMenuItems: (node) =>
        node.comfyClass === CANVAS ? [{ content: "Open Live Canvas", callback: () => open(node) }] : [],
    setup() {
        document.addEventListener("dblclick", doubleClicked)
    },
    nodeCreated(node) {
        if (node.comfyClass !== CANVAS) return
        const button = node.addWidget("button", "Open", null, () => open(node), { serialize: false })
        button.serialize = false
        pictures.set(node, addPicture(node))
        setTimeout(() => mountPicture(node))
        after(node, "onConfigure", () => showPicture(node))
        after(node, "onDblClick", () => open(node))
    },
})
