/** What the classifier paints of a class: a part of its sheet, `var(--picture)` wide and high. */
export function classPicture(sheet, count, index) {
    const columns = Math.min(sheet.columns, count)
    const picture = Object.assign(document.createElement("span"), { className: "picture", ariaHidden: "true" })
    const place = [-(index % columns), -Math.floor(index / columns)]
    picture.style.backgroundImage = `url("${sheet.url}")`
    picture.style.backgroundSize = `calc(${columns} * var(--picture)) auto`
    picture.style.backgroundPosition = place.map((steps) => `calc(${steps} * var(--picture))`).join(" ")
    return picture
}
