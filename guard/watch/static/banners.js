// What needs attention: the mode, the connection, feeds that stalled, calls that the guard could not judge.

import { el, setText } from "./dom.js";
import { choose, outcomesOf } from "./choice.js";

const MOST = 4;

const box = document.getElementById("banners");
let said = "";

export function drawBanners(tiles, mode, link) {
  const banners = [...shadow(mode), ...connection(link), ...Object.entries(tiles).flatMap(troubles)];
  const text = JSON.stringify(banners.map(({ kind, text }) => [kind, text.replace(/[\d.]+ s\b/g, "")]));
  if (text === said) return;
  said = text;
  const left = banners.length - MOST;
  box.replaceChildren(...banners.slice(0, MOST).map(draw));
  if (left > 0) box.append(el("p", { className: "banner more" }, `and ${left} more`));
}

function draw({ kind, title, text, source }) {
  const name = source ? el("button", { type: "button" }, source) : el("b", {}, title);
  if (source) name.addEventListener("click", () => choose({ source }, { push: true }));
  return el("p", { className: `banner ${kind}` }, name, ` ${text}`);
}

function shadow(mode) {
  const text = "Verdicts are recorded and not enforced: every call is made, whatever the verdict.";
  return mode === "shadow" ? [{ kind: "shadow", title: "Shadow mode.", text }] : [];
}

function connection(link) {
  if (link === "lost") return [{ kind: "fault", title: "No connection.", text: "What is shown is old. Trying again." }];
  const text = "The server refuses this browser. Open the address that guard watch printed.";
  return link === "refused" ? [{ kind: "fault", title: "No access.", text }] : [];
}

function troubles([source, tile]) {
  if (tile.feed.state === "stalled") return [{ kind: "stalled", source, text: `is stalled: ${tile.feed.why}` }];
  const fault = tile.calls.find((call) => call.run?.fault)?.run.fault;
  if (fault) return [{ kind: "fault", source, text: `cannot be judged: ${fault}` }];
  if (tile.feed.state === "running" && tile.frames && !tile.rate) {
    return [{ kind: "fault", source, text: "gives frames, and none is analysed: see the log of guard watch" }];
  }
  return [];
}

export function drawSummary(tiles) {
  const all = Object.values(tiles);
  const counts = { deny: 0, redact: 0, allow: 0, fault: 0, stalled: 0 };
  for (const tile of all) for (const outcome of outcomesOf(tile)) counts[outcome] += 1;
  for (const [outcome, count] of Object.entries(counts)) {
    setText(document.querySelector(`.chip.${outcome} b`), String(count));
  }
  const rate = all.reduce((sum, tile) => sum + tile.rate, 0);
  const sources = all.length === 1 ? "1 source" : `${all.length} sources`;
  setText(document.getElementById("summary"), `${sources}, ${rate.toFixed(0)} frames analysed a second`);
}
