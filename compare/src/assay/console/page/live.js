import { byId, el, listed, ms, svg } from "./dom.js";

const KEPT = 60;
const past = new Map();

function trace(label, values, shown) {
  const most = Math.max(...values.map((value) => value ?? 0), 1e-9);
  const points = values.map((value, index) => `${(KEPT - values.length + index) * (100 / (KEPT - 1))},${28 - (26 * (value ?? 0)) / most}`);
  return el("div", {},
    el("p", {}, el("span", {}, label), el("span", {}, shown)),
    svg("svg", { class: "trace", viewBox: "0 0 100 30", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("line", { x1: 0, x2: 100, y1: 28.5, y2: 28.5 }), svg("polyline", { points: points.join(" ") })));
}

function pulse(now, index) {
  const seen = past.get(now.backend) ?? [];
  seen.push(now);
  past.set(now.backend, seen.slice(-KEPT));
  const kept = past.get(now.backend);
  const head = el("div", { class: "head" }, el("h3", { class: "name" }, now.backend),
    el("span", { class: `status ${now.gone ? "ill" : "well"}` }, now.gone ? "gone" : "here"));
  const place = el("article", { class: `card hue-${index % 8}${now.gone ? " gone" : ""}`, "aria-label": `${now.backend} now` }, head);
  if (now.gone) {
    place.append(el("p", { class: "pending" }, "It does not answer; asked again every second."));
    return place;
  }
  place.append(
    el("div", { class: "traces" },
      trace("requests / s", kept.map((one) => one.rate), now.rate === null ? "–" : now.rate.toFixed(1)),
      trace("p99", kept.map((one) => one.p99), ms(now.p99))),
    listed("figures", [["p50", ms(now.p50)], ["p99", ms(now.p99)], ["loop lag, p99", ms(now.lag)],
      ["pool in use", `${now.in_use} of ${now.size}`], ["waiting", String(now.waiting)]]));
  return place;
}

export function startWatching() {
  let source = null;
  const open = () => {
    source = new EventSource("live");
    source.addEventListener("pulses", (event) => byId("pulses").replaceChildren(...JSON.parse(event.data).map(pulse)));
    source.addEventListener("stopping", () => byId("pulses").replaceChildren(el("p", { class: "empty" }, "The console is stopping.")));
  };
  // nobody scrapes for a page that nobody sees
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      source?.close();
      source = null;
    } else if (source === null) open();
  });
  if (!document.hidden) open();
}
