// The stream of decisions: equal ones in a row are one line, counted; the newest stands on top.

import { badge, clock, el, more, setText, times } from "./dom.js";
import { choice, choose, fitsRun } from "./choice.js";

const KEPT = 300;

const list = document.getElementById("runs");
const pause = document.getElementById("pause");
const drawn = new Map();
let held = new Map();

pause.addEventListener("click", () => {
  const paused = pause.getAttribute("aria-pressed") !== "true";
  pause.setAttribute("aria-pressed", String(paused));
  pause.textContent = paused ? "Go on" : "Pause";
  if (!paused) {
    takeRuns(held.values());
    held = new Map();
    filterRuns();
  }
});

export function takeRuns(runs) {
  if (pause.getAttribute("aria-pressed") === "true") {
    for (const run of runs) held.set(run.run, run);
    cut(held, () => {});
    return;
  }
  for (const run of runs) {
    const known = drawn.get(run.run);
    if (known) update(known, run);
    else add(run);
  }
  cut(drawn, (line) => line.item.remove());
}

// The oldest go first.
function cut(runs, drop) {
  while (runs.size > KEPT) {
    const [number, run] = runs.entries().next().value;
    drop(run);
    runs.delete(number);
  }
}

export function filterRuns() {
  let shown = 0;
  for (const line of drawn.values()) {
    const fits = fitsRun(line.run);
    line.item.hidden = !fits;
    shown += fits;
  }
  const none = document.getElementById("no-runs");
  none.hidden = shown > 0;
  setText(none, drawn.size ? "No decision fits the filter." : "No decision yet.");
  setText(document.getElementById("runs-title"), choice.source ? `Decisions: ${choice.source}` : "Decisions");
}

export function forgetRuns() {
  drawn.clear();
  held = new Map();
  list.replaceChildren();
}

function add(run) {
  const source = el("button", { type: "button", className: "source" }, run.source);
  source.addEventListener("click", () => choose({ source: run.source }, { push: true }));
  const line = { run, time: el("time"), count: el("span", { className: "count" }) };
  line.item = el(
    "li",
    { className: run.outcome },
    el("div", { className: "head" }, line.time, source, badge(run.outcome, run.enforced), line.count),
    el("p", { className: "call" }, `${run.action ?? "an unnamed call"} at ${run.service}`),
    ...why(run),
  );
  drawn.set(run.run, line);
  update(line, run);
  list.prepend(line.item);
}

function update(line, run) {
  line.run = run;
  setText(line.time, clock(run.first));
  line.time.dateTime = run.first;
  line.time.title = new Date(run.first).toLocaleString();
  setText(line.count, run.count > 1 ? `${times(run.count)}, last ${clock(run.last)}` : "");
}

function why(run) {
  if (run.fault) return [el("p", { className: "reason" }, run.fault)];
  if (!run.rules.length) return [el("p", { className: "reason soft" }, "no rule forbids it")];
  return [
    el("p", { className: "reason" }, run.title),
    el("p", { className: "cite" }, el("code", {}, run.rules[0]), more(run.rules.length - 1), `, ${run.cite}`),
  ];
}
