// One source in detail: why each call is refused, what would lift it, and what is declared against what is seen.

import { badge, clock, el, setText } from "./dom.js";
import { choice, choose } from "./choice.js";
import { focusTile } from "./tiles.js";
import { pictureOf, whyNone } from "./pictures.js";

const EVERY_MS = 5000;
const SHOWN = 2;

const panel = document.getElementById("detail");
const body = document.getElementById("detail-body");
const image = el("img", { alt: "", hidden: true });
const why = el("p", { className: "why" });
const picture = el("div", { className: "picture" }, image, why);
const found = el("div");
const unfolded = new Set();
let shown = { id: null, said: "", at: 0 };
let drawn = "";
let counts = [];

document.getElementById("close").addEventListener("click", close);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !panel.hidden) close();
});
image.addEventListener("load", () => {
  image.hidden = false;
});
image.addEventListener("error", () => {
  image.hidden = true;
});

function close() {
  const id = choice.source;
  choose({ source: null }, { push: true });
  focusTile(id);
}

export function drawDetail(tiles, boot) {
  const id = choice.source;
  const tile = id === null ? undefined : tiles[id];
  if (tile === undefined) {
    panel.hidden = true;
    shown = { id: null, said: "", at: 0 };
    return;
  }
  if (shown.id !== id) {
    shown = { id, said: "", at: 0 };
    panel.hidden = false;
    setText(document.getElementById("detail-title"), id);
    image.hidden = true; // the picture of another source would stand under this one's name
    image.removeAttribute("src");
    say("Asking the guard.");
    body.replaceChildren(picture, found);
    body.scrollTop = 0;
    if (choice.asked) {
      panel.focus({ preventScroll: true });
      if (matchMedia("(max-width: 60rem)").matches) panel.scrollIntoView();
    }
  }
  drawPicture(id, tile, boot);
  const said = JSON.stringify([tile.contradiction, tile.calls.map((call) => call.run?.run)]);
  if (said !== shown.said || performance.now() - shown.at > EVERY_MS) {
    shown.said = said;
    shown.at = performance.now();
    ask(id);
  }
}

function drawPicture(id, tile, boot) {
  image.alt = `${id}: the last picture, faces covered`;
  if (tile.picture === null) {
    image.hidden = true;
    image.removeAttribute("src");
  } else if (image.complete || !image.hasAttribute("src")) {
    const address = pictureOf(id, tile, boot);
    if (image.getAttribute("src") !== address) image.src = address;
  }
  const reason = whyNone(tile);
  why.hidden = reason === null;
  setText(why, reason ?? "");
}

async function ask(id) {
  try {
    const answer = await fetch(`/sources/${encodeURIComponent(id)}`);
    if (!answer.ok) throw new Error(await answer.text());
    const said = await answer.json();
    if (shown.id === id) draw(said);
  } catch (error) {
    if (shown.id === id) say(`No answer: ${error.message}`);
  }
}

function say(text) {
  drawn = "";
  found.replaceChildren(el("p", { className: "empty" }, text));
}

// Drawn anew only where something else is said than that there were more calls: a selection and the focus stay.
function draw(said) {
  const text = JSON.stringify(said, (key, value) => (key === "count" ? undefined : value));
  if (drawn !== text) {
    drawn = text;
    const focused = found.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    counts = said.calls.map(() => el("span"));
    found.replaceChildren(...said.calls.map(call), ...context(said.context), declared(said.declared));
    if (focused) [...found.querySelectorAll("summary")].find((each) => each.dataset.key === focused)?.focus();
  }
  said.calls.forEach((one, at) => setText(counts[at], `${one.count.toLocaleString("en")} ${one.count === 1 ? "call" : "calls"}`));
}

function call(said, at) {
  const judged = said.judged_as === said.service ? "" : `, judged as ${said.judged_as}`;
  return el(
    "article",
    { className: `verdict ${said.outcome}` },
    el("h3", {}, badge(said.outcome, said.enforced), ` ${said.action} at ${said.service}${judged}`),
    el("p", { className: "soft" }, `since ${clock(said.since)}, `, counts[at]),
    said.fault ? el("p", {}, `The guard could not judge: ${said.fault}`) : null,
    ...lift(said),
    ...reasons(said),
    said.valid_until ? el("p", { className: "soft" }, `Stands until ${said.valid_until}.`) : null,
  );
}

function reasons(said) {
  if (!said.reasons.length) return said.outcome === "allow" ? [el("p", {}, "No rule in use forbids it.")] : [];
  const lines = said.reasons.map(reason);
  const rest = lines.splice(SHOWN);
  const heading = el("h4", {}, said.outcome === "redact" ? "With faces in it, forbidden by" : "Forbidden by");
  const folded = `${rest.length} more ${rest.length === 1 ? "rule" : "rules"}`;
  return [
    heading,
    el("ul", { className: "reasons" }, ...lines),
    rest.length ? fold(`${said.action} ${said.service}`, folded, el("ul", { className: "reasons" }, ...rest)) : null,
  ];
}

function reason(said) {
  return el(
    "li",
    {},
    code(said.rule),
    el("p", {}, said.title),
    el("p", { className: "soft" }, `${said.cite}; ${inForce(said.effective)}; pack ${said.pack}`),
  );
}

function fold(key, title, ...content) {
  const summary = el("summary", {}, title);
  summary.dataset.key = key;
  const folded = el("details", { open: unfolded.has(key) }, summary, ...content);
  folded.addEventListener("toggle", () => (folded.open ? unfolded.add(key) : unfolded.delete(key)));
  return folded;
}

function lift(said) {
  if (said.outcome !== "deny") return [];
  const heading = el("h4", {}, "What would lift it");
  if (!said.lifted_by.length) return [heading, el("p", {}, "Nothing that could be declared or put on file.")];
  const items = said.lifted_by.map((any) => el("li", {}, ...any.flatMap((one, at) => (at ? [" or ", code(one)] : [code(one)]))));
  const together = said.lifted_by.length > 1 ? [el("p", {}, "All of these together:")] : [];
  return [heading, ...together, el("ul", { className: "lift" }, ...items)];
}

function code(text) {
  return el("code", {}, text);
}

function context(findings) {
  const rows = findings.map((finding) =>
    el(
      "li",
      { className: finding.verdict },
      el("p", {}, code(finding.name), " ", el("b", { className: `standing ${finding.verdict}` }, finding.verdict)),
      el("p", { className: "soft" }, `declared ${finding.declared}; seen ${finding.seen || "nothing"} (${finding.evidence})`),
      finding.verdict === "contradicted" ? el("p", {}, finding.consequence) : null,
    ),
  );
  return [el("h3", {}, "Declared against seen"), el("ul", { className: "context" }, ...rows)];
}

function declared(facts) {
  const known = [];
  const unknown = [];
  for (const [group, members] of Object.entries(facts)) {
    if (Array.isArray(members)) known.push([group, members.map((each) => each.type).join(", ") || "none"]);
    else for (const [name, value] of Object.entries(members)) sort(`${group}.${name}`, value, known, unknown);
  }
  const rows = known.flatMap(([name, value]) => [el("dt", {}, code(name)), el("dd", {}, value)]);
  return fold(
    "facts",
    "Facts of the file",
    el("dl", { className: "facts" }, ...rows),
    el("p", { className: "soft" }, `Unknown, and so never read as permission: ${unknown.join(", ") || "nothing"}.`),
  );
}

function sort(name, value, known, unknown) {
  if (value === null) unknown.push(name);
  else if (Array.isArray(value)) known.push([name, value.join(", ") || "none"]);
  else known.push([name, value.any_of ? value.any_of.join(" or ") : String(value)]);
}

function inForce([from, until]) {
  if (!from && !until) return "no dates given";
  return [from && `from ${from.slice(0, 10)}`, until && `until ${until.slice(0, 10)}`].filter(Boolean).join(" ");
}
