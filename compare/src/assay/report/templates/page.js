"use strict";
(() => {
  const told = JSON.parse(document.getElementById("weighing").textContent);
  const form = document.getElementById("weights");
  const prefix = "#weights=";

  /* The formula is that of assay.judge.decision: the weighted geometric mean of multiples of the best figure. */
  const place = (arm, weights) => {
    const counted = told.criteria.filter((one) => Object.keys(one.figures).length && weights[one.name] > 0);
    const total = counted.reduce((sum, one) => sum + weights[one.name], 0);
    let log = 0;
    const below = [];
    const above = [];
    for (const one of counted) {
      const values = Object.values(one.figures).map((figure) => figure[0]);
      const share = weights[one.name] / total;
      const figure = one.figures[arm.name];
      const value = figure ? figure[0] : Math.max(...values) * told.penalty;
      log += share * Math.log(value / Math.min(...values));
      if (figure) {
        below.push(share * Math.log(figure[0] / figure[1]));
        above.push(share * Math.log(figure[2] / figure[0]));
      }
    }
    return { name: arm.name, unfit: arm.unfit, log, below: Math.hypot(...below), above: Math.hypot(...above), counted };
  };

  const sentence = (running, nothing) => {
    if (nothing) return "Withheld: Nothing was measured that has a weight.";
    if (!running.length) return `Withheld: ${told.nobody}`;
    const [first, second] = running;
    if (!second) return `${first.name} is the only one that keeps every limit.`;
    if (first.log + first.above >= second.log - second.below)
      return `Withheld: ${first.name} and ${second.name} are too close: their intervals overlap.`;
    const apart = second.log - first.log;
    if (apart < Math.log1p(told.practical))
      return `Withheld: ${first.name} and ${second.name} are within ${(100 * told.practical).toFixed(0)} % of each other.`;
    const low = Math.exp(apart - Math.hypot(first.above, second.below)).toFixed(2);
    const high = Math.exp(apart + Math.hypot(first.below, second.above)).toFixed(2);
    return `${first.name} comes first; the second is ${Math.exp(apart).toFixed(2)} × as costly (${low}–${high}).`;
  };

  const cellOf = (kind, name) =>
    [...form.querySelectorAll(`[data-${kind}]`)].find((cell) => cell.dataset[kind] === name);

  const show = (weights) => {
    const places = told.arms.map((arm) => place(arm, weights)).sort((one, other) => one.log - other.log);
    const running = places.filter((one) => !one.unfit);
    const nothing = !places.length || !places[0].counted.length;
    for (const one of places) {
      const [strong, small] = cellOf("score", one.name).children;
      strong.textContent = nothing ? "–" : Math.exp(one.log).toFixed(3);
      small.textContent = nothing
        ? ""
        : `${Math.exp(one.log - one.below).toFixed(2)}–${Math.exp(one.log + one.above).toFixed(2)}`;
      const at = running.indexOf(one);
      cellOf("place", one.name).textContent = nothing ? "–" : at < 0 ? one.unfit : String(at + 1);
    }
    const own = told.criteria.some((one) => weights[one.name] !== one.weight);
    const line = document.querySelector("#standing p");
    line.textContent = (own ? "At these weights: " : "") + sentence(running, nothing);
    form.classList.toggle("own", own);
  };

  const defaults = () => Object.fromEntries(told.criteria.map((one) => [one.name, one.weight]));

  const fromAddress = () => {
    const weights = defaults();
    if (!location.hash.startsWith(prefix)) return weights;
    for (const part of location.hash.slice(prefix.length).split(",")) {
      const [name, text] = part.split(":");
      const found = told.criteria.find((one) => encodeURIComponent(one.name) === name);
      const weight = Number(text);
      if (found && text && Number.isFinite(weight) && weight >= 0) weights[found.name] = weight;
    }
    return weights;
  };

  const address = (weights) =>
    prefix + told.criteria.map((one) => `${encodeURIComponent(one.name)}:${weights[one.name]}`).join(",");

  const fill = (weights) => {
    for (const input of form.querySelectorAll("input")) input.value = weights[input.dataset.criterion];
    document.getElementById("permalink").href = address(weights);
    show(weights);
  };

  const weigh = () => {
    let weights = fromAddress();
    fill(weights);
    form.addEventListener("input", ({ target }) => {
      const weight = Number(target.value);
      if (target.value === "" || !Number.isFinite(weight) || weight < 0) return;
      weights = { ...weights, [target.dataset.criterion]: weight };
      for (const input of form.querySelectorAll("input"))
        if (input !== target && input.dataset.criterion === target.dataset.criterion) input.value = weight;
      document.getElementById("permalink").href = address(weights);
      history.replaceState(null, "", address(weights));
      show(weights);
    });
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      weights = defaults();
      history.replaceState(null, "", "#decision");
      fill(weights);
    });
    form.addEventListener("submit", (event) => event.preventDefault());
    addEventListener("hashchange", () => {
      if (!location.hash.startsWith(prefix)) return;
      weights = fromAddress();
      fill(weights);
    });
    if (location.hash.startsWith(prefix)) document.getElementById("decision").scrollIntoView();
  };

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    if (!cell) return null;
    const text = (cell.dataset.value ?? cell.textContent).trim().replaceAll(",", "");
    const value = parseFloat(text);
    return Number.isNaN(value) ? text : value;
  };

  const before = (one, other) => {
    if (typeof one === "number" && typeof other === "number") return one - other;
    return String(one).localeCompare(String(other));
  };

  /* What has no figure stays at the end in both directions. */
  const sort = (table, column, upwards) => {
    const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, column), row]);
    const isKnown = ([value, row]) => column === 0 || (value !== "–" && !row.querySelector("td.missing"));
    const known = rows.filter(isKnown).sort(([one], [other]) => (upwards ? 1 : -1) * before(one, other));
    const rest = rows.filter((row) => !isKnown(row));
    table.tBodies[0].append(...[...known, ...rest].map(([, row]) => row));
  };

  const sortable = (table) => {
    const heads = [...table.tHead.rows[0].cells];
    for (const [column, head] of heads.entries()) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const upwards = head.getAttribute("aria-sort") !== "ascending";
        for (const one of heads) one.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", upwards ? "ascending" : "descending");
        sort(table, column, upwards);
      });
    }
  };

  for (const hidden of document.querySelectorAll(".scripted")) hidden.hidden = false;
  if (form) {
    form.classList.add("live");
    weigh();
  }
  document.querySelectorAll("table.sortable").forEach(sortable);
})();
