// One tile a source, drawn once and then kept up to date in place, so that neither focus nor a picture flickers.

import { badge, el, setAttribute, setText, svg } from "./dom.js";
import { choice, choose, fitsTile } from "./choice.js";
import { show } from "./pictures.js";

const MARKS = { a: "allow", r: "redact", d: "deny", f: "fault" };
const HEIGHTS = { a: 0.45, r: 0.7, d: 1, f: 1 };

const list = document.getElementById("tiles");
const drawn = new Map();

export function drawTile(id, tile, boot) {
  if (!drawn.has(id)) drawn.set(id, build(id));
  const parts = drawn.get(id);
  setAttribute(parts.item, "data-outcome", strictest(tile));
  setAttribute(parts.item, "data-feed", tile.feed.state);
  setText(parts.state, tile.feed.state === "running" ? tile.feed.name : tile.feed.state);
  setAttribute(parts.state, "title", tile.feed.name);
  drawCalls(parts.calls, tile.calls);
  drawMinute(parts, tile.minute);
  setText(parts.rate, `${tile.rate.toFixed(1)} a second`);
  setText(parts.hook, tile.hook_us ? `${ms(tile.hook_us.p50)} / ${ms(tile.hook_us.p95)} ms` : "–");
  setText(parts.faces, tile.faces === null ? "unknown" : String(tile.faces));
  parts.contradiction.hidden = tile.contradiction === null;
  setText(parts.contradiction, tile.contradiction ?? "");
  show(parts, id, tile, boot);
}

export function filterTiles(tiles) {
  let shown = 0;
  for (const [id, parts] of drawn) {
    const fits = fitsTile(id, tiles[id]);
    parts.item.hidden = !fits;
    shown += fits;
    setAttribute(parts.open, "aria-pressed", String(choice.source === id));
  }
  document.getElementById("no-tiles").hidden = shown > 0;
}

export function forgetTiles() {
  drawn.clear();
  list.replaceChildren();
}

export function focusTile(id) {
  drawn.get(id)?.open.focus();
}

function build(id) {
  const open = el("button", { type: "button", className: "open" }, id);
  open.setAttribute("aria-pressed", "false");
  open.addEventListener("click", () => choose({ source: choice.source === id ? null : id }, { push: true }));
  const parts = {
    open,
    state: el("p", { className: "feed" }),
    image: el("img", { alt: `${id}: the last picture, faces covered`, hidden: true, decoding: "async" }),
    why: el("p", { className: "why" }),
    calls: el("ul", { className: "calls" }),
    rate: el("dd"),
    hook: el("dd"),
    faces: el("dd"),
    contradiction: el("p", { className: "contradiction", hidden: true }),
    marks: Object.fromEntries(Object.values(MARKS).map((outcome) => [outcome, svg("path", { class: outcome })])),
  };
  parts.minute = svg(
    "svg",
    { class: "minute", viewBox: "0 0 60 1", preserveAspectRatio: "none", role: "img" },
    ...Object.values(parts.marks),
  );
  parts.item = el(
    "li",
    { className: "tile" },
    el("div", { className: "picture" }, parts.image, parts.why),
    el("div", { className: "name" }, el("h3", {}, open), parts.state),
    parts.calls,
    parts.minute,
    el("p", { className: "axis", ariaHidden: "true" }, el("span", {}, "a minute ago"), el("span", {}, "now")),
    el(
      "dl",
      {},
      el("div", {}, el("dt", {}, "analysed"), parts.rate),
      el("div", {}, el("dt", {}, "faces"), parts.faces),
      el("div", {}, el("dt", {}, "hook p50 / p95"), parts.hook),
    ),
    parts.contradiction,
  );
  list.append(parts.item);
  return parts;
}

function drawCalls(node, calls) {
  const said = JSON.stringify(calls.map((call) => [call.action, call.service, call.run?.outcome, call.run?.rules]));
  if (node.dataset.said === said) return;
  node.dataset.said = said;
  node.replaceChildren(...calls.map(drawCall));
}

function drawCall(call) {
  const name = `${call.action} at ${call.service}`;
  if (!call.run) return el("li", {}, el("b", { className: "badge none" }, "no verdict"), el("span", {}, name));
  const rules = call.run.rules;
  return el(
    "li",
    {},
    badge(call.run.outcome, call.run.enforced),
    el("span", {}, name, el("small", { title: rules.join(", ") }, why(call.run))),
  );
}

// One line whatever the outcome: tiles whose height changed with every verdict would move those below them.
function why({ fault, rules }) {
  if (fault) return "the guard could not judge";
  if (!rules.length) return "no rule forbids it";
  return rules.length > 1 ? `${rules[0]} +${rules.length - 1}` : rules[0];
}

function drawMinute(parts, minute) {
  const paths = { allow: "", redact: "", deny: "", fault: "" };
  for (let at = 0; at < minute.length; at += 1) {
    const mark = minute[at];
    if (mark in MARKS) paths[MARKS[mark]] += `M${at} 1h.8v-${HEIGHTS[mark]}h-.8z`;
  }
  for (const [outcome, path] of Object.entries(paths)) setAttribute(parts.marks[outcome], "d", path);
  const seconds = Object.entries(MARKS).map(([mark, outcome]) => [outcome, minute.split(mark).length - 1]);
  const said = seconds.filter(([, count]) => count).map(([outcome, count]) => `${outcome} in ${count} s`);
  setAttribute(parts.minute, "aria-label", `The last minute: ${said.join(", ") || "nothing analysed"}`);
}

function strictest(tile) {
  const found = tile.calls.map((call) => call.run?.outcome ?? "none");
  return ["fault", "deny", "redact", "allow"].find((outcome) => found.includes(outcome)) ?? "none";
}

function ms(us) {
  return (us / 1000).toFixed(us < 10000 ? 1 : 0);
}
