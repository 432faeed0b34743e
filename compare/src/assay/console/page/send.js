import { byId, el, hue, lines, listed, ms, post, trouble } from "./dom.js";

let upload = false;
let current = null;

/** What the form asks for; throws an Error for a header that is none. */
export function wanted() {
  const headers = {};
  for (const line of byId("headers").value.split("\n").filter((text) => text.trim())) {
    const at = line.indexOf(":");
    if (at < 1) throw new Error(`The header line “${line}” has no colon: write Name: value.`);
    headers[line.slice(0, at).trim()] = line.slice(at + 1).trim();
  }
  return {
    method: byId("method").value,
    path: byId("path").value.trim(),
    query: byId("query").value.trim(),
    headers,
    body: byId("body").value === "" ? null : byId("body").value,
    upload,
    timeout: Number(byId("timeout").value),
  };
}

function fill(operation) {
  upload = operation.upload;
  byId("method").value = operation.method;
  byId("path").value = operation.path;
  byId("query").value = operation.query;
  byId("headers").value = Object.entries(operation.headers).map(([name, value]) => `${name}: ${value}`).join("\n");
  byId("body-label").textContent = upload ? "Text of the file" : "JSON body";
  byId("body").value = operation.body === null ? "" : upload ? operation.body : JSON.stringify(operation.body, null, 2);
}

function card(backend, index) {
  return el("article", { class: `card ${hue(backend, index)}`, id: `answer-${backend}`, "aria-label": backend },
    el("div", { class: "head" }, el("h3", { class: "name" }, backend), el("span", { class: "status pending" }, "…")));
}

function show(answer) {
  const place = byId(`answer-${answer.backend}`);
  const status = place.querySelector(".status");
  status.textContent = answer.failure ?? answer.status;
  status.className = `status ${answer.status !== null && answer.status < 400 ? "well" : "ill"}`;
  const { app, db, trips, statements } = answer.timing;
  place.append(listed("figures", [
    ["seen here", ms(answer.ms)], ["in the service", ms(app)], ["database", ms(db)],
    ["round trips", trips === null ? "–" : String(trips)], ["statements", statements === null ? "–" : String(statements)],
  ]));
  if (Object.keys(answer.headers).length) place.append(listed("headers", Object.entries(answer.headers)));
  const { text } = answer;
  if (text !== null) {
    place.append(el("pre", { tabindex: "0", role: "region", "aria-label": `Body of ${answer.backend}` }, answer.cut ? `${text}\n… only the beginning` : text));
  }
}

function judge({ baseline, judged }) {
  let apart = 0;
  for (const { backend, differences, beginning } of judged) {
    const place = byId(`answer-${backend}`);
    if (backend === baseline) place.firstChild.after(el("p", { class: "apart pending" }, "The others are held against this one."));
    if (differences === null) continue;
    apart += differences.length > 0;
    place.firstChild.after(differences.length
      ? el("div", { class: "apart" }, el("b", { class: "alarm" }, `${differences.length} ${differences.length === 1 ? "difference" : "differences"}`), told(differences))
      : el("p", { class: "apart same" }, `No differences${beginning ? " in the beginnings, which were compared" : ""}, ids and times aside.`));
  }
  return apart;
}

export function told(differences) {
  return el("ul", {}, ...differences.map(({ place, expected, found }) =>
    el("li", {}, el("code", {}, place), el("br"), `${expected} → ${found}`)));
}

async function send(backends) {
  trouble("");
  current?.abort();
  const mine = (current = new AbortController());
  const state = byId("outcome");
  try {
    const asked = wanted();
    state.textContent = "Sent; waiting for answers.";
    const answer = await post("send", asked, mine.signal);
    byId("answers").replaceChildren(...backends.map(card));
    let failed = 0;
    let judged = false;
    for await (const line of lines(answer)) {
      if (line.kind === "shown") {
        show(line);
        failed += line.status === null;
      } else {
        judged = true;
        const apart = judge(line);
        const parts = [failed ? `${failed} of ${backends.length} gave no answer.` : `All ${backends.length} answered.`,
          apart ? `${apart} differ from ${line.baseline}.` : line.baseline && failed < backends.length - 1 ? "No differences." : ""];
        state.textContent = parts.join(" ");
      }
    }
    if (!judged) state.textContent = "The console broke it off.";
  } catch (error) {
    if (error.name === "AbortError") return;
    trouble(error.message);
    state.textContent = "";
  }
}

function group(path) {
  const first = path.split("/")[1];
  return ["users", "documents", "attachments"].includes(first) ? first : "the whole service";
}

export function startSending({ backends, operations }) {
  const choice = byId("operation");
  const groups = new Map();
  operations.forEach((one, index) => {
    const named = group(one.path);
    if (!groups.has(named)) groups.set(named, el("optgroup", { label: named }));
    groups.get(named).append(el("option", { value: index }, `${one.method} ${one.path}`));
  });
  choice.append(...groups.values());
  choice.addEventListener("change", () => fill(operations[choice.value]));
  fill(operations[0]);
  byId("send-form").addEventListener("submit", (event) => {
    event.preventDefault();
    send(backends);
  });
  byId("new-rows").addEventListener("click", async () => {
    try {
      await post("rows");
      byId("outcome").textContent = "The next request makes new example rows on every backend.";
    } catch (error) {
      trouble(error.message);
    }
  });
}
