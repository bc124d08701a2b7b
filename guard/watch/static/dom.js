// Elements out of names, properties and children. Texts are set as text, never as HTML.

const SVG = "http://www.w3.org/2000/svg";

export function el(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

export function clock(instant) {
  return CLOCK.format(new Date(instant));
}

export function times(count) {
  return `× ${count.toLocaleString("en")}`;
}

export function badge(outcome, enforced = true) {
  const text = enforced || outcome === "allow" ? outcome : `${outcome}, not enforced`;
  return el("b", { className: `badge ${outcome}` }, text);
}

export function more(count) {
  return count > 0 ? ` and ${count} more` : "";
}
