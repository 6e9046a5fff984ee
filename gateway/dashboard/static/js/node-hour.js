// A node's last hour in charts: the mean of each ten seconds as a line, from the least to the most as a band around it.

import { Problem } from "./api.js";
import { lineChart } from "./chart.js";
import { fill, h, text } from "./dom.js";
import * as say from "./format.js";
import { panel, trouble } from "./parts.js";
import { Hour } from "./telemetry.js";

const EVERY_MS = 5000;
const percent = (part) => `${Math.round(part * 100)} %`;
const used = (free) => 1 - free;
const same = (value) => value;
const CHARTS = [
  { name: "temperature_c", title: "Temperature", format: (value) => `${say.digits(value)} °C`, change: same, top: 0 },
  { name: "cpu_free", title: "CPU in use", format: percent, change: used, top: 1 },
  { name: "memory_free", title: "Memory in use", format: percent, change: used, top: 1 },
  { name: "latency_ms", title: "Latency to the servers", format: (value) => say.joined(say.span(value)), change: same, top: 0 },
  { name: "battery", title: "Battery", format: percent, change: same, top: 1 },
  { name: "power_w", title: "Power", format: (value) => `${say.digits(value)} W`, change: same, top: 0 },
];

export function hourPanel({ api, name }) {
  const hour = new Hour(), silent = h("p.quiet", { hidden: true }), problem = h("div");
  const charts = CHARTS.map((each) => {
    const made = lineChart({ title: each.title, lines: [{ name: "mean", tone: 1, band: true }], format: each.format, top: each.top, small: true });
    return { ...each, made, element: h("div", { hidden: true }, h("h3", {}, each.title), made.element) };
  });
  const element = panel("The last hour", { note: "mean of ten seconds, and from least to most" },
    h("div.stack", {}, problem, h("div.charts", {}, charts.map((each) => each.element)), silent));
  let closed = false, asking = false;

  async function update() {
    if (asking) return;
    asking = true;
    try {
      hour.add(await api.telemetry(name, hour.since));
      if (!closed) show();
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      // What is drawn stays: the next try may succeed.
      if (!closed && !hour.since) fill(problem, trouble(error));
    } finally {
      asking = false;
    }
  }

  function show() {
    fill(problem);
    const never = [];
    for (const { element: box, made, title, name: quantity, change } of charts) {
      const points = hour.points(quantity, change);
      box.hidden = !points.length;
      if (points.length) made.set([points], hour.range);
      else never.push(title.toLowerCase().replace("cpu", "CPU"));
    }
    silent.hidden = !never.length;
    text(silent, hour.since ? `Not told by this node: ${never.join(", ")}.` : "Nothing was heard yet.");
  }

  const clock = setInterval(update, EVERY_MS);
  update();
  return {
    element,
    close() {
      closed = true;
      clearInterval(clock);
      charts.forEach(({ made }) => made.close());
    },
  };
}
