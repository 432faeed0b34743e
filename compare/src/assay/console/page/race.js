import { byId, el, hue, lines, ms, post, svg, trouble } from "./dom.js";
import { wanted } from "./send.js";

let current = null;

function show(backends, run, tally) {
  byId("tally").hidden = false;
  byId("tally").tBodies[0].replaceChildren(...backends.map((name, index) => {
    const wins = tally.wins[name] ?? 0;
    const bar = svg("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { width: run ? (100 * wins) / run : 0, height: 10 }));
    return el("tr", { class: hue(name, index) }, el("th", { scope: "row", class: "name" }, name),
      el("td", { class: "number" }, `${wins} of ${run - (tally.absent[name] ?? 0)}`), el("td", {}, bar),
      el("td", { class: "number" }, ms(tally.margin[name])));
  }));
}

function told(run, nobody, absent) {
  const parts = [`${run} ${run === 1 ? "race" : "races"} run.`];
  if (nobody) parts.push(`Nobody won ${nobody} of them.`);
  for (const [name, count] of Object.entries(absent)) parts.push(`${name} was absent from ${count}.`);
  return parts.join(" ");
}

async function race(backends, signal) {
  const tally = { wins: {}, margin: {}, absent: {} };
  let run = 0;
  let nobody = 0;
  const asked = { ...wanted(), races: Number(byId("races").value) };
  for await (const line of lines(await post("races", asked, signal))) {
    if (line.kind === "tally") {
      show(backends, line.races, { ...line, absent: tally.absent });
      return told(run, nobody, tally.absent);
    }
    run += 1;
    if (line.winner === null) nobody += 1;
    else tally.wins[line.winner] = (tally.wins[line.winner] ?? 0) + 1;
    for (const name of line.absent) tally.absent[name] = (tally.absent[name] ?? 0) + 1;
    show(backends, run, tally);
  }
  return `The console broke them off. ${told(run, nobody, tally.absent)}`;
}

export function startRacing({ backends }) {
  const state = byId("race-state");
  byId("race-stop").addEventListener("click", () => current?.abort());
  byId("race-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (current !== null) return;
    trouble("");
    current = new AbortController();
    state.textContent = "Racing.";
    try {
      state.textContent = await race(backends, current.signal);
    } catch (error) {
      state.textContent = error.name === "AbortError" ? "Stopped." : "";
      if (error.name !== "AbortError") trouble(error.message);
    } finally {
      current = null;
    }
  });
}
