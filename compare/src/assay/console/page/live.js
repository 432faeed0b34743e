import { byId, el, hue, ms, svg } from "./dom.js";

const KEPT = 60;
const HEIGHT = 30;
const past = new Map();

// each chart's lines, from a pulse; all backends share one scale, so that heights can be compared
const CHARTS = [
  { label: "requests / s", lines: ["rate"], told: (now) => (now.rate === null ? "–" : now.rate.toFixed(1)) },
  { label: "p50 (dashed), p99", lines: ["p50", "p99"], told: (now) => `${ms(now.p50)}, ${ms(now.p99)}` },
  { label: "loop lag, p99", lines: ["lag"], told: (now) => ms(now.lag) },
  { label: "pool in use", lines: ["in_use"], most: "size", told: (now) => `${now.in_use} of ${now.size}, ${now.waiting} waiting` },
];

const greatest = (chart) =>
  Math.max(1e-9, ...[...past.values()].flat().flatMap((one) => [...chart.lines, chart.most].map((name) => one[name] ?? 0)));

/** Runs of points; where nothing was measured there is no line. */
function runs(kept, name, most) {
  const found = [[]];
  kept.forEach((one, index) => {
    if (one[name] === null || one[name] === undefined) found.push([]);
    else found.at(-1).push([(KEPT - kept.length + index) * (100 / (KEPT - 1)), HEIGHT - 2 - ((HEIGHT - 4) * one[name]) / most]);
  });
  return found.filter((run) => run.length);
}

function drawn(chart, kept, now) {
  const most = greatest(chart);
  const lines = chart.lines.flatMap((name) => runs(kept, name, most).map((run) =>
    svg("polyline", { class: name, points: (run.length > 1 ? run : [run[0], run[0]]).map((point) => point.join(",")).join(" ") })));
  return el("div", {},
    el("p", {}, el("span", {}, chart.label), el("span", { class: "figure" }, chart.told(now))),
    svg("svg", { class: "trace", viewBox: `0 0 100 ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("line", { x1: 0, x2: 100, y1: HEIGHT - 1, y2: HEIGHT - 1 }), ...lines));
}

function remember(now) {
  past.set(now.backend, [...(past.get(now.backend) ?? []), now].slice(-KEPT));
}

function card(now, index) {
  const head = el("div", { class: "head" }, el("h3", { class: "name" }, now.backend),
    el("span", { class: `status ${now.gone === null ? "well" : "ill"}` }, now.gone === null ? "here" : "gone"));
  const place = el("article", { class: `card ${hue(now.backend, index)}${now.gone === null ? "" : " gone"}`, "aria-label": `${now.backend} now` }, head);
  if (now.gone !== null) {
    place.append(el("p", { class: "pending" }, `${now.gone}; asked again every second.`));
    return place;
  }
  place.append(el("div", { class: "traces" }, ...CHARTS.map((chart) => drawn(chart, past.get(now.backend), now))));
  return place;
}

const say = (text) => byId("pulses").replaceChildren(el("p", { class: "empty" }, text));

export function startWatching() {
  let source = null;
  const open = () => {
    source = new EventSource("live");
    source.addEventListener("pulses", (event) => {
      const pulses = JSON.parse(event.data);
      pulses.forEach(remember);
      byId("pulses").replaceChildren(...pulses.map(card));
    });
    source.addEventListener("stopping", () => say("The console is stopping."));
    // the browser asks again by itself
    source.addEventListener("error", () => say("The console does not answer; asked again until it does."));
  };
  // nobody scrapes for a page that nobody sees
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      source?.close();
      source = null;
      past.clear();
    } else if (source === null) open();
  });
  if (!document.hidden) open();
}
