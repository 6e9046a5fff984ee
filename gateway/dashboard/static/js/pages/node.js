// One node: what its score is made of, what protects it, how it fared lately, and what it was given to do.

import { lineChart } from "../chart.js";
import { bar, fill, h, share, text } from "../dom.js";
import * as say from "../format.js";
import { throttled } from "../live.js";
import { hourPanel } from "../node-hour.js";
import { action, bones, facts, panel, trouble } from "../parts.js";
import { taskLink } from "../sentences.js";
import { nodeState, nodeWords, taskState } from "../states.js";

const EVERY_MS = 2000;
const TERMS = [
  ["bandwidth", "Bandwidth", 0.4, (node) => `${say.digits(node.telemetry.bandwidth_mbps)} of 1000 Mbit/s`],
  ["latency", "Latency", 0.3, (node) => `${say.digits(node.telemetry.latency_ms)} ms; 100 ms counts nothing`],
  ["load", "Load", 0.2, (node) => `${percent(node.telemetry.cpu_free)} CPU and ${percent(node.telemetry.memory_free)} memory free`],
  ["reputation", "Reputation", 0.1, (node) => `agreed ${say.count(node.agreed)}, outvoted ${say.count(node.dissented)}, failed ${say.count(node.faulted)}`],
];
const BREAKERS = [
  ["Temperature", "above 85 °C", (t) => (t.temperature_c === null ? "not known" : `${say.digits(t.temperature_c)} °C`), (t) => (t.temperature_c === null ? null : t.temperature_c / 85)],
  ["Latency", "above 100 ms", (t) => `${say.digits(t.latency_ms)} ms`, (t) => t.latency_ms / 100],
  ["Errors", "25 in a row", (t) => (t.errors === undefined ? "not known" : say.count(t.errors)), (t) => (t.errors === undefined ? null : t.errors / 25)],
];
const percent = (part) => `${Math.round(part * 100)} %`;

export function open({ live, api, params: [name], who, announce }) {
  const body = h("div.stack", {}, bones(8)), state = h("span", {}, ""), buttons = h("div.buttons", {});
  const element = h("div.page", {}, h("div.page-head", {},
    h("div", {}, h("a.crumb", { href: "/nodes" }, "Nodes"), h("h1", {}, name)), h("div.buttons", {}, state, buttons)), body);
  const parts = { score: scorePanel(), breakers: breakersPanel(), over: telemetryPanel(), about: aboutPanel(), tasks: tasksPanel() };
  let hour = null;
  let shown = false, closed = false, drains = null;

  async function update() {
    let node;
    try {
      node = await api.node(name);
    } catch (error) {
      if (!shown && !closed) fill(body, trouble(error, update));
      return;
    }
    if (closed) return;
    if (!shown) {
      shown = true;
      hour = hourPanel({ api, name });
      fill(body, h("div.columns", {}, h("div.stack.w-5", {}, parts.score.element, parts.breakers.element, parts.about.element), h("div.stack.w-7", {}, parts.over.element, hour.element, parts.tasks.element)));
    }
    fill(state, nodeState(node.state), h("span.quiet", {}, ` ${node.telemetry.safe_mode || nodeWords(node.state)}`));
    for (const part of Object.values(parts)) part.update(node);
    offerDrain(node);
  }

  function offerDrain(node) {
    if (who?.role !== "operator" || ["dead", "left"].includes(node.state)) {
      fill(buttons);
      return;
    }
    const wanted = node.state === "draining" ? "undrain" : "drain";
    if (drains === wanted && buttons.childElementCount) return;
    drains = wanted;
    const ask = async () => {
      try {
        await (wanted === "drain" ? api.drain(name) : api.undrain(name));
        announce(wanted === "drain" ? `${name} takes no more work` : `${name} takes work again`);
        await update();
      } catch (error) {
        announce(error.message);
        fill(buttons, h("span.quiet", {}, error.message));
      }
    };
    fill(buttons, action(wanted === "drain" ? "Drain" : "Let it work again", ask));
  }

  const soon = throttled(update, EVERY_MS);
  const end = live.on("nodes", soon);
  const clock = setInterval(soon, EVERY_MS);
  update();
  return {
    title: name,
    element,
    close() {
      closed = true;
      end();
      clearInterval(clock);
      soon.cancel();
      parts.over.close();
      hour?.close();
    },
  };
}

function scorePanel() {
  const total = h("span.figure", {}, "–");
  const rows = TERMS.map(([key, label, most, words]) => ({ key, most, words, label, bar: bar(0), value: h("span.number", {}, "–"), why: h("span.faint", {}, "") }));
  const element = panel("Score", { note: null }, h("p.terms-total", {}, total, h("span.quiet", {}, "of 1, the sum of four terms")),
    h("div.terms", {}, rows.flatMap((row) => [h("span", {}, row.label), row.bar, h("span.number", {}, row.value, h("span.faint", {}, ` of ${row.most}`)), h("span"), row.why, h("span")])));
  return {
    element,
    update(node) {
      text(total, node.score.toFixed(3));
      for (const row of rows) {
        share(row.bar, node.terms[row.key] / row.most);
        text(row.value, node.terms[row.key].toFixed(3));
        text(row.why, row.words(node));
      }
    },
  };
}

function breakersPanel() {
  const rows = BREAKERS.map(([label, limit, words, part]) => ({ limit, words, part, label, bar: bar(0), value: h("span.number", {}, "–") }));
  const said = h("p", {}, "");
  const element = panel("Circuit breakers", { note: null }, h("div.stack", {}, said,
    h("div.terms", {}, rows.flatMap((row) => [h("span", {}, row.label, h("span.faint", {}, ` ${row.limit}`)), row.bar, row.value]))));
  return {
    element,
    update({ telemetry }) {
      fill(said, telemetry.safe_mode ? h("span.state.warn", {}, `open: ${telemetry.safe_mode}`) : h("span.state.good", {}, "closed: the node takes work"));
      for (const row of rows) {
        const part = row.part(telemetry);
        share(row.bar, part ?? 0, part > 1 ? "bad" : part > 0.8 ? "warn" : "");
        text(row.value, row.words(telemetry));
      }
    },
  };
}

function telemetryPanel() {
  const chart = (title, lines, format, top) => ({ title, lines, made: lineChart({ title, lines, format, top, small: true }) });
  const charts = [
    chart("Score", [{ name: "score", tone: 1, area: true }], (v) => v.toFixed(2), 1),
    chart("In use", [{ name: "CPU", tone: 1, area: true }, { name: "memory", tone: 2 }], (v) => `${Math.round(v * 100)} %`, 1),
    chart("Latency", [{ name: "latency", tone: 1, area: true }], (v) => say.joined(say.span(v)), 0),
    chart("Attempts held", [{ name: "open", tone: 1, area: true }], say.digits, 0),
  ];
  const element = panel("The last minutes", { note: "since the gateway first heard it" }, h("div.charts", {}, charts.map(({ title, lines, made }) => h("div", {},
    h("div.panel-head", {}, h("h3", {}, title), lines.length > 1 && h("div.legend", { "aria-hidden": "true" }, lines.map((line) => h(`span.key.k${line.tone}`, {}, line.name)))), made.element))));
  return {
    element,
    update({ samples = [] }) {
      if (!samples.length) return;
      const range = [samples[0].at_ms, samples.at(-1).at_ms];
      const of = (get) => samples.map((each) => [each.at_ms, get(each) ?? NaN]);
      const series = [[of((s) => s.score)], [of((s) => 1 - s.cpu_free), of((s) => 1 - s.memory_free)], [of((s) => s.latency_ms)], [of((s) => s.open)]];
      charts.forEach(({ made }, at) => made.set(series[at], range));
    },
    close: () => charts.forEach(({ made }) => made.close()),
  };
}

function aboutPanel() {
  const body = h("div");
  return {
    element: panel("What it is", { note: null }, body),
    update(node) {
      const can = node.capabilities, heard = node.telemetry;
      const key = JSON.stringify([can, node.key, say.digits(heard.energy_j), heard.energy_method]);
      if (body.dataset.key === key) return;
      body.dataset.key = key;
      fill(body, facts([
        ["Region", can.region], ["Type", can.node_type], ["Labels", Object.entries(can.labels ?? {}).map(([a, b]) => `${a}=${b}`).join(", ")],
        ["Slots", `${say.count(can.slots)} on ${say.count(can.cores)} cores${can.arch ? `, ${can.arch}` : ""}`], ["Memory", say.joined(say.bytes(can.memory_mb * 2 ** 20))],
        ["Energy", heard.energy_method && `${say.joined(say.energy(heard.energy_j))} since it started (${heard.energy_method})`],
        ["Software", `${can.version}, ${can.engine}`], ["Key", h("code", { title: node.key }, say.short(node.key, 24))],
      ]));
    },
  };
}

function tasksPanel() {
  const body = h("div");
  let shown = null;
  return {
    element: panel("Its tasks", { note: "newest first" }, body),
    update({ history }) {
      const key = JSON.stringify(history);
      if (key === shown) return;
      shown = key;
      if (!history.length) {
        fill(body, h("p.quiet", {}, "It has been given nothing yet, as far as this gateway remembers."));
        return;
      }
      fill(body, h("div.scroll-x", { tabindex: "0", role: "region", "aria-label": "Its tasks, table" }, h("table.tasks-list", {}, h("thead", {}, h("tr", {}, ["Task", "Given", "Its answer", "Task's state"].map((each) => h("th", { scope: "col" }, each)))),
        h("tbody", {}, history.slice(0, 30).map((each) => h("tr", {}, h("td", {}, taskLink(each.task)), h("td.time", {}, say.time(each.at_ms, true)),
          h("td", {}, each.claimed ? `${each.claimed}, after ${say.joined(say.span(each.claimed_ms - each.at_ms))}` : h("span.faint", {}, "none")), h("td", {}, taskState(each.state))))))));
    },
  };
}
