import { byId, el, lines, ms, post, svg, trouble } from "./dom.js";
import { wanted } from "./send.js";

function show(backends, run, tally) {
  byId("tally").hidden = false;
  byId("tally").tBodies[0].replaceChildren(...backends.map((name, index) => {
    const wins = tally.wins[name] ?? 0;
    const bar = svg("svg", { class: "bar", viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { width: run ? (100 * wins) / run : 0, height: 10 }));
    return el("tr", { class: `hue-${index % 8}` }, el("th", { scope: "row", class: "name" }, name),
      el("td", { class: "number" }, String(wins)), el("td", {}, bar), el("td", { class: "number" }, ms(tally.margin[name])));
  }));
}

async function race(backends) {
  trouble("");
  const state = byId("race-state");
  const tally = { wins: {}, margin: {} };
  let run = 0;
  let nobody = 0;
  const asked = { ...wanted(), races: Number(byId("races").value) };
  for await (const line of lines(await post("races", asked))) {
    if (line.kind === "tally") {
      show(backends, line.races, line);
      state.textContent = `${line.races} races run.${nobody ? ` Nobody won ${nobody} of them.` : ""}`;
      return;
    }
    run += 1;
    if (line.winner === null) nobody += 1;
    else tally.wins[line.winner] = (tally.wins[line.winner] ?? 0) + 1;
    show(backends, run, tally);
  }
  state.textContent = "The races were broken off.";
}

export function startRacing({ backends }) {
  const form = byId("race-form");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    byId("race-state").textContent = "Racing.";
    try {
      await race(backends);
    } catch (error) {
      byId("race-state").textContent = "";
      trouble(error.message);
    } finally {
      button.disabled = false;
    }
  });
}
