// What needs attention: the mode, the connection, feeds that stalled, calls that the guard could not judge.

import { el, setText } from "./dom.js";
import { choose, outcomesOf } from "./choice.js";

const NAMED = 3;
const LINGER_MS = 4000;

const box = document.getElementById("banners");
const lingering = new Map();
let said = "";

export function drawBanners(tiles, mode, link) {
  const found = lingered(Object.entries(tiles).flatMap(troubles));
  const banners = [...shadow(mode), ...connection(link), ...grouped(found)];
  const text = JSON.stringify(banners.map(({ kind, text, sources }) => [kind, measureless(text), sources]));
  if (text === said) return;
  said = text;
  box.replaceChildren(...banners.map(draw));
}

// A fault of single frames comes and goes several times a second: its banner stays a while, so that the page stands still.
function lingered(found) {
  const now = performance.now();
  const key = ({ kind, text, source }) => JSON.stringify([kind, measureless(text), source]);
  const current = new Set(found.map(key));
  for (const one of found) if (one.kind === "fault") lingering.set(key(one), { one, until: now + LINGER_MS });
  for (const [name, { until }] of lingering) if (until < now) lingering.delete(name);
  return [...found, ...[...lingering].filter(([name]) => !current.has(name)).map(([, { one }]) => one)];
}

// Sources with the same trouble share a banner, so that many do not fill the page.
function grouped(all) {
  const groups = new Map();
  for (const { kind, text, source } of all) {
    const key = `${kind} ${measureless(text)}`;
    if (!groups.has(key)) groups.set(key, { kind, text, sources: [] });
    groups.get(key).sources.push(source);
  }
  return [...groups.values()];
}

// "no frame for 4 s" and "no frame for 5 s" are the same trouble.
function measureless(text) {
  return text.replace(/[\d.]+/g, "");
}

function draw({ kind, title, text, sources = [] }) {
  const names = sources.slice(0, NAMED).map(name);
  const left = sources.length - names.length;
  const parts = names.flatMap((one, at) => (at ? [", ", one] : [one]));
  if (title) parts.push(el("b", {}, title));
  return el("p", { className: `banner ${kind}` }, ...parts, left > 0 ? ` and ${left} more: ` : sources.length ? ": " : " ", text);
}

function name(source) {
  const button = el("button", { type: "button" }, source);
  button.addEventListener("click", () => choose({ source }, { push: true }));
  return button;
}

function shadow(mode) {
  const text = "Verdicts are recorded and not enforced: every call is made, whatever the verdict.";
  return mode === "shadow" ? [{ kind: "shadow", title: "Shadow mode.", text }] : [];
}

function connection(link) {
  if (link === "full") {
    const text = "As many browsers look on as may at once. Trying again.";
    return [{ kind: "fault", title: "Too many look on.", text }];
  }
  if (link === "lost") return [{ kind: "fault", title: "No connection.", text: "What is shown is old. Trying again." }];
  const text = "The server refuses this browser. Open the address that guard watch printed.";
  return link === "refused" ? [{ kind: "fault", title: "No access.", text }] : [];
}

function troubles([source, tile]) {
  if (tile.feed.state === "stalled") return [{ kind: "stalled", source, text: `stalled, ${tile.feed.why}` }];
  const fault = tile.calls.find((call) => call.run?.fault)?.run.fault;
  if (fault) return [{ kind: "fault", source, text: `the guard could not judge, ${fault}` }];
  if (tile.feed.state === "running" && tile.frames && !tile.rate) {
    return [{ kind: "fault", source, text: "frames come and none is analysed; this machine may be too slow" }];
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
  const rate = all.reduce((sum, tile) => sum + tile.rate, 0).toFixed(0);
  const sources = all.length === 1 ? "1 source" : `${all.length} sources`;
  const frames = rate === "1" ? "1 frame" : `${rate} frames`;
  setText(document.getElementById("summary"), `${sources}, ${frames} analysed a second`);
}
