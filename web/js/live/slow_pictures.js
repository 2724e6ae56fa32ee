// Pictures that the server has to paint first: one after the other, and only those that are seen.

import { element } from "./elements.js"

export class SlowPictures {
    /** @param url gives the URL of a picture by its number; "" where it cannot be had. */
    constructor(url) {
        Object.assign(this, { url, known: new Map(), places: new Map(), ready: false, closed: false, busy: false })
        this.seen = new IntersectionObserver((entries) => {
            for (const { target, isIntersecting } of entries) this.places.get(target).seen = isIntersecting
            this.next()
        })
    }

    /** From now on there is a session that can paint them. */
    begin() {
        this.ready = true
        this.next()
    }

    /** An element that shows the picture as soon as there is one. */
    picture(number) {
        const place = element("span", { className: "picture", ariaHidden: "true" })
        if (this.known.has(number)) this.show(place, number)
        else {
            this.places.set(place, { number, seen: false })
            this.seen.observe(place)
        }
        return place
    }

    async next() {
        if (this.busy || !this.ready) return
        const [place, wanted] = [...this.places].find(([, { seen }]) => seen) ?? []
        if (!place) return
        this.busy = true
        const { known } = this
        const url = known.get(wanted.number) ?? (await this.url(wanted.number))
        this.busy = false
        if (this.closed || known !== this.known) return URL.revokeObjectURL(url)
        known.set(wanted.number, url)
        if (this.places.delete(place)) {
            this.seen.unobserve(place)
            this.show(place, wanted.number)
        }
        this.next()
    }

    show(place, number) {
        const url = this.known.get(number)
        if (url) place.style.backgroundImage = `url("${url}")`
    }

    /** The numbers mean something else from now on. */
    forget() {
        for (const url of this.known.values()) URL.revokeObjectURL(url)
        this.seen.disconnect()
        Object.assign(this, { known: new Map(), places: new Map() })
    }

    close() {
        this.closed = true
        this.forget()
    }
}
