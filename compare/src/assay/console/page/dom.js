// Elements made by DOM calls alone: what a backend answers is text, never markup.

const SVG = "http://www.w3.org/2000/svg";

const OWN = { asyncpg: 0, sqlalchemy: 1, tortoise: 2, motor: 3 };

export const byId = (id) => document.getElementById(id);

// A layer has the colour that it has in a report; others get the free ones in turn.
export const hue = (backend, index) => `hue-${OWN[backend] ?? 4 + (index % 4)}`;

export function el(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

export function svg(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export function listed(kind, pairs) {
  const entries = pairs.filter(([, value]) => value !== null && value !== undefined);
  return el("dl", { class: kind }, ...entries.flatMap(([term, value]) =>
    kind === "headers"
      ? [el("dt", {}, term), el("dd", {}, value)]
      : [el("div", {}, el("dt", {}, term), el("dd", {}, value))]));
}

export const ms = (value) =>
  value === null || value === undefined ? "–" : `${value >= 100 ? Math.round(value) : value.toFixed(value >= 10 ? 1 : 2)} ms`;

export function trouble(text) {
  const place = byId("trouble");
  place.textContent = text;
  place.hidden = !text;
}

/** POSTs JSON; throws an Error that says in one line what was wrong. */
export async function post(path, value, signal) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(value ?? null),
    signal,
  });
  if (!answer.ok) throw new Error(await refusal(answer));
  return answer;
}

async function refusal(answer) {
  const text = await answer.text();
  try {
    const { detail } = JSON.parse(text);
    return typeof detail === "string" ? detail : detail.map((wrong) => `${wrong.loc.slice(1).join(".")}: ${wrong.msg}`).join("; ");
  } catch {
    return text.trim() || `The console answered ${answer.status}.`;
  }
}

/** The JSON lines of an answer, each as soon as it is there. */
export async function* lines(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) yield JSON.parse(part);
  }
}
