// Every field for a target class gets the list of the connected classifier's classes, in both node renderers.
// The widget stays the front end's own text widget, because only that one survives as it is in subgraphs, in the
// app mode and with primitives.

import { app } from "../../../scripts/app.js"
import { ClassList } from "./class_list.js"
import { fetchClasses, knownClasses } from "./class_names.js"
import { classPlace, classQuery, placeOf, watchSubgraphs } from "./graph_walk.js"

const SMALLEST = { width: 180, height: 22, font: 12 }
// The distance of a canvas widget from the sides of its node.
const MARGIN = 15

function asker(place) {
    return async (answer) => {
        const query = classQuery(place)
        if (!query) return answer({ classes: [], message: "Connect a classifier to see its classes.", sheet: null })
        answer(knownClasses(query) ?? { classes: [], message: "Looking...", sheet: null })
        answer(await fetchClasses(query))
    }
}

// Vue nodes: the field is an <input> named after its widget. It is created when the node comes into view.
function focused({ target: field }) {
    if (!(field instanceof HTMLInputElement) || field.readOnly || field.disabled) return
    const id = field.closest("[data-node-id]")?.dataset.nodeId
    const node = id && app.canvas.graph?.getNodeById(id)
    const subject = node && classPlace(placeOf(node), field.getAttribute("aria-label"))
    if (!subject) return
    const list = new ClassList(field, asker(subject))
    field.addEventListener("blur", () => list.detach(), { once: true })
    list.open()
}

// Canvas nodes: the widget is drawn, so an <input> is laid over it while it is edited.
function editOnCanvas(widget, node, canvas) {
    const field = Object.assign(document.createElement("input"), {
        className: "robust-class-field",
        value: widget.value,
        ariaLabel: widget.name,
    })
    const list = new ClassList(field, asker(classPlace(placeOf(node), widget.name)))
    const gone = new AbortController()
    const { signal } = gone
    let frame = 0

    function follow() {
        if (node.graph !== canvas.graph) return close()
        layOver(field, widget, node, canvas)
        frame = requestAnimationFrame(follow)
    }
    function close() {
        if (signal.aborted) return
        gone.abort()
        cancelAnimationFrame(frame)
        list.detach()
        field.remove()
    }
    field.addEventListener("input", (e) => widget.setValue(field.value, { e, node, canvas }), { signal })
    field.addEventListener("keydown", ({ key }) => ["Enter", "Escape", "Tab"].includes(key) && close(), { signal })
    field.addEventListener("blur", close, { signal })
    field.addEventListener("wheel", (event) => canvas.processMouseWheel(event), { signal })
    // The canvas does not take the focus when it is pressed, so the field gets no blur event.
    const pressed = ({ target }) => target === field || list.popup.contains(target) || close()
    addEventListener("pointerdown", pressed, { signal, capture: true })

    document.body.append(field)
    follow()
    field.focus()
    field.select()
    list.open()
}

function layOver(field, widget, node, canvas) {
    const { left, top } = canvas.canvas.getBoundingClientRect()
    const { scale, offset } = canvas.ds
    const width = (widget.width ?? node.size[0]) - 2 * MARGIN
    const sizes = {
        left: left + (node.pos[0] + MARGIN + offset[0]) * scale,
        top: top + (node.pos[1] + widget.y + offset[1]) * scale,
        // When the graph is zoomed out the field is larger than its widget, so that it stays readable.
        width: Math.max(width * scale, SMALLEST.width),
        height: Math.max(LiteGraph.NODE_WIDGET_HEIGHT * scale, SMALLEST.height),
        fontSize: Math.max(LiteGraph.NODE_TEXT_SIZE * 0.85 * scale, SMALLEST.font),
    }
    for (const [name, size] of Object.entries(sizes)) field.style[name] = `${size}px`
}

app.registerExtension({
    name: "RobustSynthesis.ClassPicker",
    setup() {
        document.addEventListener("focusin", focused)
        watchSubgraphs(app.canvas)
    },
    nodeCreated(node) {
        if (!node.comfyClass?.startsWith("Robust") && node.comfyClass !== "PrimitiveString") return
        for (const widget of node.widgets ?? []) {
            if (!["target_class", "value"].includes(widget.name)) continue
            widget.onPointerDown = (pointer, node, canvas) => {
                if (!classPlace(placeOf(node), widget.name)) return false
                pointer.onClick = () => editOnCanvas(widget, node, canvas)
                return true
            }
        }
    },
})
