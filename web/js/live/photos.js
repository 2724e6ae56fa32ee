// Pictures from outside: chosen, dropped or pasted, and uploaded as inputs of ComfyUI.

import { api } from "../../../../scripts/api.js"

const FOLDER = "robust_canvas_photos"
const SMALLEST = 64
const LARGEST = 4096
// Others may be transparent, or of a kind that the server does not read.
const OPAQUE = ["image/jpeg"]

/** The first picture in what was dropped or pasted; undefined if there is none. */
export const pictureIn = (transfer) => [...(transfer?.files ?? [])].find(({ type }) => type.startsWith("image/"))

/** Let the user choose a picture; null if none is chosen. */
export function choosePicture() {
    return new Promise((done) => {
        const field = Object.assign(document.createElement("input"), { type: "file", accept: "image/*" })
        field.addEventListener("change", () => done(field.files[0] ?? null))
        field.addEventListener("cancel", () => done(null))
        field.click()
    })
}

/**
 * Upload a picture, scaled to sides that a canvas may have.
 *
 * @returns the base, as `open` takes it.
 * @throws Error with a sentence for the user.
 */
export async function uploaded(file) {
    const picture = await fitting(file)
    const form = new FormData()
    form.append("image", picture, nameOf(file, picture))
    form.append("subfolder", FOLDER)
    form.append("type", "input")
    const answer = await api.fetchApi("/upload/image", { method: "POST", body: form })
    if (!answer.ok) throw new Error("The picture could not be uploaded.")
    const { name, subfolder, type } = await answer.json()
    return { kind: "file", filename: name, subfolder, type }
}

async function fitting(file) {
    let bitmap
    try {
        bitmap = await createImageBitmap(file)
    } catch {
        throw new Error(`${file.name || "This"} is no picture that the browser can read.`)
    }
    const { width, height } = bitmap
    const [short, long] = [Math.min(width, height), Math.max(width, height)]
    const scale = Math.min(Math.max(1, SMALLEST / short), LARGEST / long)
    if (scale === 1 && OPAQUE.includes(file.type)) return file
    const side = (length) => Math.max(SMALLEST, Math.min(LARGEST, Math.round(length * scale)))
    const canvas = new OffscreenCanvas(side(width), side(height))
    const context = canvas.getContext("2d")
    context.imageSmoothingQuality = "high"
    context.fillStyle = "#fff"
    context.fillRect(0, 0, canvas.width, canvas.height)
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height)
    return canvas.convertToBlob({ type: "image/png" })
}

function nameOf(file, picture) {
    const stem = (file.name || "picture").replace(/\.[^.]*$/, "") || "picture"
    return `${stem}.${picture.type === "image/jpeg" ? "jpg" : "png"}`
}
