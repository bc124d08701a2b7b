// The tiles' pictures: fetched one at a time each, only where the tile can be seen, and gone where the guard has none.

import { setText } from "./dom.js";

const visible = new WeakMap();
const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) visible.set(entry.target, entry.isIntersecting);
});

export function show(parts, id, tile, boot) {
  const { image, why } = parts;
  const reason = whyNone(tile);
  if (!visible.has(parts.item)) {
    visible.set(parts.item, true);
    observer.observe(parts.item);
    image.addEventListener("load", () => loaded(image, true));
    image.addEventListener("error", () => loaded(image, false));
  }
  if (tile.picture === null) {
    image.hidden = true;
    image.removeAttribute("src");
    image.dataset.busy = "";
  } else if (visible.get(parts.item) && !image.dataset.busy) {
    const address = pictureOf(id, tile, boot);
    if (image.getAttribute("src") !== address) {
      image.dataset.busy = "yes";
      image.src = address;
    }
  }
  why.hidden = reason === null;
  setText(why, reason ?? "");
}

export function pictureOf(id, tile, boot) {
  return `/pictures/${encodeURIComponent(id)}?${boot}-${tile.picture}`;
}

export function whyNone(tile) {
  if (tile.feed.state === "stalled") return `Stalled: ${tile.feed.why}`;
  if (tile.picture !== null) return null;
  if (tile.why_none !== null) return `No picture: ${tile.why_none}`;
  return tile.feed.state === "opening" ? "Opening the feed" : "Waiting for a picture";
}

function loaded(image, good) {
  image.dataset.busy = "";
  image.hidden = !good || !image.hasAttribute("src");
}
