// All nodes: a heat map and a table that stay smooth with ten thousand of them.

import { field, fill, h, text } from "../dom.js";
import * as say from "../format.js";
import { heatMap } from "../heatmap.js";
import { throttled } from "../live.js";
import { blank, panel, trouble } from "../parts.js";
import { NODE_STATES, nodeTone, setState } from "../states.js";
import { textCell, virtualTable } from "../table.js";

const SORT_MS = 1000;
const percent = (part) => `${Math.round(part * 100)} %`;

export function open({ live, go, query, announce }) {
  const nodes = live.nodes, names = () => nodes.names;
  const wanted = { search: query.get("q") ?? "", state: NODE_STATES.includes(query.get("state")) ? query.get("state") : "", key: "node", descending: false };
  const openNode = (node) => go(`/nodes/${encodeURIComponent(node)}`);
  const head = h("p", { "aria-live": "off" }, ""), found = h("p.quiet", { role: "status" }, "");
  const map = heatMap({ nodes, label: "Nodes by score", onOpen: openNode });
  const table = virtualTable({
    label: "Nodes", columns: columns(nodes), onOpen: (row) => openNode(names()[row]), height: "clamp(16rem, 48vh, 40rem)",
    onSort(key) {
      wanted.descending = wanted.key === key ? !wanted.descending : key !== "node" && key !== "state";
      wanted.key = key;
      arrange();
    },
  });
  const search = h("input", { name: "search", type: "search", placeholder: "part of a name", value: wanted.search });
  const state = h("select", { name: "state" }, h("option", { value: "" }, "all states"), NODE_STATES.map((each) => h("option", { value: each, selected: each === wanted.state }, each)));
  const legend = h("div.legend", {});
  const body = h("div.stack");
  const element = h("div.page", {}, h("div.page-head", {}, h("h1", {}, "Nodes"), head), body);
  const full = [
    panel("Heat map", { note: null, more: scale() }, h("div.stack", {}, map.element, legend)),
    h("form.tools", { role: "search", "aria-label": "Find nodes" }, h("div.grow", {}, field("Find", search)), field("State", state), found),
    table.element,
  ];
  let shape = -1;

  function arrange() {
    const rows = nodes.view(wanted);
    table.set(rows, { key: wanted.key, descending: wanted.descending });
    text(found, rows.length === nodes.length ? "" : `${say.count(rows.length)} of ${say.count(nodes.length)}`);
    const address = new URLSearchParams();
    if (wanted.search) address.set("q", wanted.search);
    if (wanted.state) address.set("state", wanted.state);
    history.replaceState(null, "", `/nodes${address.size ? `?${address}` : ""}`);
  }

  function update() {
    if (!nodes.length) {
      fill(body, live.nodesProblem && !nodes.shape ? trouble(live.nodesProblem)
        : nodes.shape ? blank("No node has joined yet", "A node is a machine that offers its time. It needs one command.", h("p", {}, h("a.button.main-action", { href: "/join" }, "Add a node"))) : blank("Asking for the nodes…"));
      return;
    }
    if (!full[0].isConnected) fill(body, full);
    if (shape !== nodes.shape) {
      shape = nodes.shape;
      arrange();
    }
    const { counts } = nodes;
    text(head, `${say.count(nodes.length)} enrolled, ${say.count(counts[0])} take work`);
    fillLegend(legend, counts);
    map.update();
    table.update();
  }

  // Values move while one reads: rows in sight change at once, their order once a second and only where it is by a value.
  const resort = throttled(() => {
    if (wanted.key !== "node" || wanted.state) arrange();
  }, SORT_MS);
  const draw = throttled(update, 200);
  const end = live.on("nodes", () => {
    draw();
    resort();
  });
  search.addEventListener("input", () => {
    wanted.search = search.value;
    arrange();
  });
  state.addEventListener("change", () => {
    wanted.state = state.value;
    arrange();
    announce(`${state.value || "all states"}: ${found.textContent || say.count(nodes.length)}`);
  });
  element.addEventListener("submit", (event) => event.preventDefault());
  update();
  return {
    title: "Nodes",
    element,
    close() {
      end();
      draw.cancel();
      resort.cancel();
      map.close();
      table.close();
    },
  };
}

function columns(nodes) {
  return [
    { key: "node", name: "Node", width: "minmax(5rem, 2fr)", ...textCell((row) => nodes.names[row]) },
    {
      key: "state", name: "State", width: "minmax(5.5rem, 1fr)", cell: () => h("span.state", {}, ""),
      set: (cell, row) => setState(cell.firstChild, nodes.stateName(row), nodeTone(nodes.stateName(row))),
    },
    { key: "score", name: "Score", width: "3.5rem", number: true, ...textCell((row) => nodes.score(row).toFixed(3)) },
    { key: "open", name: "Open", width: "3rem", number: true, ...textCell((row) => say.count(nodes.open[row])) },
    { key: "cpu", name: "CPU used", width: "5.5rem", number: true, wide: true, ...textCell((row) => percent(nodes.cpuUsed(row))) },
    { key: "memory", name: "Memory used", width: "7rem", number: true, wide: true, ...textCell((row) => percent(nodes.memoryUsed(row))) },
    { key: "latency", name: "Latency", width: "6rem", number: true, wide: true, ...textCell((row) => `${nodes.latencyMs(row).toFixed(1)} ms`) },
    { key: "silent", name: "Heard", width: "6rem", number: true, wide: true, ...textCell((row) => `${nodes.silentS(row).toFixed(0)} s ago`) },
  ];
}

const scale = () => h("span.heat-scale", {}, "score 0", h("i", { "aria-hidden": "true" }), "1");

function fillLegend(legend, counts) {
  const key = counts.join();
  if (legend.dataset.key === key) return;
  legend.dataset.key = key;
  fill(legend, NODE_STATES.map((state, at) => (counts[at] || at === 0) && h("span", {}, h(`span.state.${nodeTone(state)}`, {}, state), " ", h("b", {}, say.count(counts[at])))));
}
