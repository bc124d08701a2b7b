// Reads the stream of changes and has each part of the page drawn.

import { drawBanners, drawSummary } from "./banners.js";
import { choice, choose, onChoice, readAddress } from "./choice.js";
import { drawDetail } from "./detail.js";
import { setText } from "./dom.js";
import { filterRuns, forgetRuns, takeRuns } from "./runs.js";
import { drawTile, filterTiles, forgetTiles } from "./tiles.js";

const LINKS = { live: "live", lost: "reconnecting", refused: "no access", full: "waiting for a place" };
const AGAIN_MS = 3000;

let tiles = Object.create(null); // a source may be called like anything that objects inherit
let boot = null;
let mode = "enforce";
let link = "connecting";

const find = document.getElementById("find");
const outcomes = document.getElementById("outcomes");
const clear = document.getElementById("clear");

function take(change) {
  if (change.boot !== boot) {
    boot = change.boot;
    tiles = Object.create(null);
    forgetTiles();
    forgetRuns();
  }
  mode = change.mode;
  setText(document.getElementById("policy"), `Policy ${change.policy.slice(0, 16)}.`);
  for (const [id, tile] of Object.entries(change.tiles)) {
    tiles[id] = tile;
    drawTile(id, tile, boot);
  }
  takeRuns(change.runs);
  drawSummary(tiles);
  drawChosen();
}

function drawChosen() {
  filterTiles(tiles);
  filterRuns();
  drawDetail(tiles, boot);
  drawBanners(tiles, mode, link);
}

function linked(state) {
  link = state;
  const shown = document.getElementById("link");
  shown.dataset.state = state;
  setText(shown, LINKS[state]);
  drawBanners(tiles, mode, link);
}

onChoice(() => {
  if (find.value !== choice.find) find.value = choice.find;
  for (const box of outcomes.querySelectorAll("input")) box.checked = choice.outcomes.has(box.value);
  clear.hidden = !choice.find && choice.outcomes.size === 0;
  drawChosen();
});

find.addEventListener("input", () => choose({ find: find.value }));
outcomes.addEventListener("change", () => {
  const chosen = [...outcomes.querySelectorAll("input:checked")].map((box) => box.value);
  choose({ outcomes: new Set(chosen) });
});
clear.addEventListener("click", () => {
  choose({ find: "", outcomes: new Set() });
  find.focus();
});
document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());

// A stream that breaks is opened again by the browser; one that is refused is not, and the browser does not say why.
function listen() {
  const events = new EventSource("/events");
  events.addEventListener("open", () => linked("live"));
  events.addEventListener("message", (event) => take(JSON.parse(event.data)));
  events.addEventListener("error", () => {
    if (events.readyState === EventSource.CLOSED) askWhy();
    else linked("lost");
  });
}

async function askWhy() {
  const status = await fetch("/static/icon.svg").then((answer) => answer.status, () => 0);
  if (status >= 400 && status < 500) return linked("refused");
  linked(status === 200 ? "full" : "lost");
  setTimeout(listen, AGAIN_MS);
}

readAddress();
listen();
