// What the reader chose: the source in detail, and the filters. It stands in the address, so a reload keeps it.
// `asked` says that it was chosen here just now, and not read from an address: only then may the focus move.

export const OUTCOMES = ["deny", "redact", "allow", "fault", "stalled"];

export const choice = { source: null, find: "", outcomes: new Set(), asked: false };

const listeners = [];

export function onChoice(listener) {
  listeners.push(listener);
}

export function choose(changes, { push = false } = {}) {
  Object.assign(choice, changes, { asked: push });
  const query = new URLSearchParams();
  if (choice.source) query.set("source", choice.source);
  if (choice.find) query.set("find", choice.find);
  for (const outcome of choice.outcomes) query.append("show", outcome);
  const address = query.size ? `/?${query}` : "/";
  if (address !== location.pathname + location.search) {
    if (push) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
  }
  tell();
}

export function readAddress() {
  const query = new URLSearchParams(location.search);
  choice.asked = false;
  choice.source = query.get("source");
  choice.find = query.get("find") ?? "";
  choice.outcomes = new Set(query.getAll("show").filter((outcome) => OUTCOMES.includes(outcome)));
  tell();
}

addEventListener("popstate", readAddress);

function tell() {
  for (const listener of listeners) listener();
}

export function outcomesOf(tile) {
  const found = new Set(tile.calls.filter((call) => call.run).map((call) => call.run.outcome));
  if (tile.feed.state === "stalled") found.add("stalled");
  return found;
}

export function fitsTile(id, tile) {
  if (!fitsName(id)) return false;
  return choice.outcomes.size === 0 || [...outcomesOf(tile)].some((outcome) => choice.outcomes.has(outcome));
}

export function fitsRun(run) {
  if (choice.source ? run.source !== choice.source : !fitsName(run.source)) return false;
  return choice.outcomes.size === 0 || choice.outcomes.has(run.outcome);
}

function fitsName(id) {
  return id.toLowerCase().includes(choice.find.trim().toLowerCase());
}
