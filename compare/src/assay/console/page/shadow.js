import { byId, el, listed, post, trouble } from "./dom.js";
import { told } from "./send.js";

const PERIOD = 2000;

/** A live region that is written again is read aloud again. */
function say(text) {
  const place = byId("shadow-state");
  if (place.textContent !== text) place.textContent = text;
}

function show(state) {
  const on = state.primary !== null;
  say(on ? `${state.primary} answers; ${state.secondary} is held against it.` : "Nothing is shadowed: choose a primary and a secondary.");
  const counts = [["waiting", state.waiting], ["dropped", state.dropped], ["too large or cut off", state.unread], ["no answer", state.failed], ["unknown rows", state.unknown]];
  byId("shadow-counts").replaceChildren(...(on ? listed("counts", counts.map(([name, count]) => [name, String(count)])).children : []));
  const names = Object.keys(state.compared).sort();
  byId("shadow-table").hidden = names.length === 0;
  byId("shadow-table").tBodies[0].replaceChildren(...names.map((name) =>
    el("tr", {}, el("th", { scope: "row" }, el("code", {}, name)), el("td", { class: "number" }, String(state.compared[name])),
      el("td", { class: `number${state.different[name] ? " alarm" : ""}` }, String(state.different[name] ?? 0)))));
  byId("shadow-newest").replaceChildren(...state.newest.map((one) =>
    el("div", { class: "apart sheet" }, el("b", {}, one.operation), told(one.differences))));
}

let last = "";

async function look() {
  try {
    const text = await (await fetch("shadowing")).text();
    // what is looked at or marked stays as it is
    if (text !== last) show(JSON.parse((last = text)));
  } catch {
    say("The console does not answer.");
    last = "";
  }
}

export function startShadowing({ backends }) {
  for (const id of ["primary", "secondary"]) byId(id).append(...backends.map((name) => el("option", {}, name)));
  byId("shadow-url").textContent = new URL("shadow/", location.href).href;
  byId("shadow-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    trouble("");
    try {
      await post("shadowing", { primary: byId("primary").value || null, secondary: byId("secondary").value || null });
    } catch (error) {
      trouble(error.message);
    }
    await look();
  });
  setInterval(() => document.hidden || look(), PERIOD);
  look().then(() => {
    if (!last) return;
    const state = JSON.parse(last);
    byId("primary").value = state.primary ?? "";
    byId("secondary").value = state.secondary ?? "";
  });
}
