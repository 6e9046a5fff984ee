// The cluster at a glance: what it does, how quickly, with whom, and how far its proof is.

import { lineChart, sparkline } from "../chart.js";
import { bar, fill, figure, h, share, text } from "../dom.js";
import * as say from "../format.js";
import { heatMap } from "../heatmap.js";
import { throttled } from "../live.js";
import { blank, bones, panel } from "../parts.js";
import { NODE_STATES, nodeTone } from "../states.js";
import { sentence } from "../sentences.js";

const LOGS = [["tasks", "asked"], ["assignments", "decided"], ["results", "claimed"], ["verdicts", "accepted"], ["anchors", "proven"]];
const ACTIVITY = 14;

export function open({ live, api, go }) {
  const ends = [], head = h("p", {}, "");
  const strip = figures();
  const rates = lineChart({
    title: "Tasks per second", lines: [{ name: "asked", tone: 1, area: true }, { name: "accepted", tone: 3 }, { name: "failed", tone: 2 }], format: say.digits,
  });
  const waits = lineChart({
    title: "Time from asked to accepted", lines: [{ name: "median", tone: 1, area: true }, { name: "99 % within", tone: 2 }], format: (ms) => say.joined(say.span(ms)),
  });
  const health = nodesPanel(live, go), logs = logsPanel(), services = servicesPanel(), anchored = anchorPanel(api), activity = activityPanel(live);
  const element = h("div.page", {},
    h("div.page-head", {}, h("h1", {}, "Overview"), head),
    strip.element,
    h("div.columns", {},
      panel("Tasks per second", { width: "w-6", note: null, more: keys(["k1", "asked"], ["k3", "accepted"], ["k2", "failed"]) }, rates.element),
      panel("Asked to accepted", { width: "w-6", note: null, more: keys(["k1", "median"], ["k2", "99 % within"]) }, waits.element),
      h("div.stack.w-7", {}, health.element, activity.element),
      h("div.stack.w-5", {}, logs.element, services.element, anchored.element)));

  function update() {
    const stats = live.stats;
    if (!stats) return;
    text(head, stats.full ? `Full: ${stats.full}` : `${say.count(stats.open)} open, ${say.count(stats.waiting)} of them waiting for a node`);
    const history = live.history.map((each) => [each.at_s * 1000, each.rates]);
    const last = history.at(-1)?.[0] ?? stats.at_ms, range = [Math.min(history[0]?.[0] ?? last, last - 60_000), last];
    const of = (name) => history.map(([at, each]) => [at, each[name] ?? NaN]);
    strip.update(stats, history, live.nodes);
    rates.set([of("asked"), of("accepted"), of("failed")], range);
    waits.set([of("p50_ms"), of("p99_ms")], range);
    logs.update(stats);
    services.update(stats);
  }

  const drawNodes = throttled(() => health.update(), 250);
  const drawActivity = throttled(() => activity.update(), 250);
  const askAnchor = throttled(() => anchored.update(), 2000);
  ends.push(live.on("stats", update), live.on("nodes", drawNodes), live.on("log", (event) => {
    drawActivity();
    if (event.log === "anchors") askAnchor();
  }));
  update();
  health.update();
  activity.update();
  anchored.update();
  return {
    title: "Overview",
    element,
    close() {
      for (const end of ends) end();
      for (const each of [drawNodes, drawActivity, askAnchor]) each.cancel();
      for (const each of [strip, rates, waits, health]) each.close();
    },
  };
}

const keys = (...pairs) => h("div.legend", { "aria-hidden": "true" }, pairs.map(([tone, name]) => h(`span.key.${tone}`, {}, name)));

function figures() {
  const made = ["Accepted", "Median latency", "Nodes taking work", "Open tasks", "Power", "Dissent"].map((name) => {
    const value = h("dd.figure", {}, "–"), note = h("dd.note", {}, ""), line = sparkline();
    return { value, note, line, element: h("div", {}, h("dt", {}, name), value, note, h("dd", {}, line.element)) };
  });
  const [accepted, wait, nodes, open, power, dissent] = made;
  const opens = [], healthies = [];
  return {
    element: h("dl.figures", { "aria-label": "Now" }, made.map((each) => each.element)),
    update(stats, history, board) {
      const of = (name) => history.map(([at, each]) => [at, each[name] ?? NaN]);
      figure(accepted.value, say.rate(stats.rates.accepted));
      text(accepted.note, stats.rates.failed > 0 ? `${say.joined(say.rate(stats.rates.failed))} of them failed` : "mean of ten seconds");
      accepted.line.set(of("accepted"));
      figure(wait.value, say.span(stats.latency.p50_ms ?? NaN));
      text(wait.note, stats.latency.p99_ms === null ? "nothing in the last minute" : `99 % within ${say.joined(say.span(stats.latency.p99_ms))}`);
      wait.line.set(of("p50_ms"));
      const { counts, length: total } = board, healthy = counts[0];
      figure(nodes.value, [say.count(healthy), `of ${say.count(total)}`]);
      healthies.push([stats.at_ms, healthy]);
      if (healthies.length > 300) healthies.shift();
      nodes.line.set(healthies);
      const silent = counts[NODE_STATES.indexOf("suspect")] + counts[NODE_STATES.indexOf("dead")];
      text(nodes.note, silent ? `${say.count(silent)} silent` : total ? "none is silent" : "none has joined yet");
      figure(open.value, [say.count(stats.open)]);
      text(open.note, `${say.count(stats.waiting)} wait for a node`);
      opens.push([stats.at_ms, stats.open]);
      if (opens.length > 300) opens.shift();
      open.line.set(opens);
      figure(power.value, stats.rates.energy_w >= 0.1 || stats.rates.energy_w === 0 ? [say.digits(stats.rates.energy_w), "W"] : [say.digits(stats.rates.energy_w * 1000), "mW"]);
      text(power.note, `${say.joined(say.energy(stats.energy_j))} in all`);
      power.line.set(of("energy_w"));
      figure(dissent.value, say.rate(stats.rates.dissents));
      text(dissent.note, stats.rates.dissents ? "nodes were outvoted" : "no node was outvoted");
      dissent.line.set(of("dissents"));
    },
    close: () => made.forEach((each) => each.line.close()),
  };
}

function nodesPanel(live, go) {
  const shares = h("div.shares", { "aria-hidden": "true" }), legend = h("div.legend", {});
  const map = heatMap({ nodes: live.nodes, label: "Nodes by score", height: 150, onOpen: (node) => go(`/nodes/${encodeURIComponent(node)}`) });
  const element = panel("Nodes", { more: h("a", { href: "/nodes" }, "All nodes"), note: null }, h("div.stack", {}, shares, legend, map.element));
  return {
    element,
    update() {
      const { counts, length } = live.nodes;
      const there = NODE_STATES.map((state, at) => [state, counts[at]]).filter(([, many]) => many);
      const key = there.join();
      if (shares.dataset.key !== key) {
        shares.dataset.key = key;
        fill(shares, there.map(([state, many]) => {
          const piece = h(`i.${nodeTone(state)}`);
          piece.style.width = `${(many / length) * 100}%`;
          return piece;
        }));
        fill(legend, there.length
          ? there.map(([state, many]) => h("span", {}, h(`span.state.${nodeTone(state)}`, {}, state), " ", h("b", {}, say.count(many))))
          : h("span.quiet", {}, "No node has joined yet. ", h("a", { href: "/join" }, "Add the first one")));
      }
      map.update();
    },
    close: map.close,
  };
}

function logsPanel() {
  const rows = new Map(), body = h("tbody");
  for (const [log, says] of LOGS) {
    const many = h("td.number", {}, "–"), depth = bar(0), size = h("td.number", {}, "–"), full = h("span.hidden-visually", {}, "");
    rows.set(log, { many, depth, size, full });
    body.append(h("tr", {}, h("th", { scope: "row" }, log.toUpperCase(), h("span.faint", {}, ` ${says}`)), many, h("td.depth", {}, depth, full), size));
  }
  const element = panel("Logs", { note: "what they hold, against their limits" }, h("div.scroll-x", { tabindex: "0", role: "region", "aria-label": "Logs, table" }, h("table", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Log"), h("th.number", { scope: "col" }, "Entries"), h("th", { scope: "col" }, "Full"), h("th.number", { scope: "col" }, "Size"))), body)));
  return {
    element,
    update(stats) {
      for (const [log, cells] of rows) {
        const extent = stats.logs[log];
        if (!extent) continue;
        text(cells.many, say.count(Math.max(0, extent.last - extent.first + 1)));
        const part = extent.max_bytes > 0 ? extent.bytes / extent.max_bytes : 0;
        share(cells.depth, part, part > 0.9 ? "bad" : part > 0.7 ? "warn" : "");
        const percent = part > 0 && part < 0.001 ? "less than 0.1 %" : `${say.digits(part * 100)} %`;
        cells.depth.title = percent;
        text(cells.size, say.joined(say.bytes(extent.bytes)));
        text(cells.full, `${percent} of the limit`);
      }
    },
  };
}

function servicesPanel() {
  const body = h("div", {}, bones(3));
  const element = panel("Who leads", { note: null }, body);
  let shown = "";
  return {
    element,
    update(stats) {
      const key = JSON.stringify(stats.services.map(({ lag, ...rest }) => [rest, Object.values(lag ?? {}).some((each) => each > 1000)]));
      if (key === shown) return;
      shown = key;
      fill(body, h("table", {},
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Service"), h("th", { scope: "col" }, "Leader"), h("th.number", { scope: "col" }, "Epoch"), h("th.number", { scope: "col" }, "Stand by"))),
        h("tbody", {}, stats.services.map((each) => {
          const behind = Object.entries(each.lag ?? {}).filter(([, many]) => many > 1000);
          return h("tr", {}, h("th", { scope: "row" }, each.service),
            h("td", {}, each.leader ? h(`span.state.${behind.length ? "warn" : "good"}`, {}, each.leader) : h("span.state.bad", {}, "nobody"),
              behind.map(([log, many]) => h("div.faint", {}, `${say.count(many)} behind in ${log.toUpperCase()}`))),
            h("td.number", {}, say.count(each.epoch)), h("td.number", {}, say.count(each.standbys.length)));
        }))));
    },
  };
}

function anchorPanel(api) {
  const body = h("div", {}, bones(3));
  const element = panel("Proof", { more: h("a", { href: "/anchor" }, "Anchor"), note: null }, body);
  return {
    element,
    async update() {
      try {
        const anchor = await api.anchor();
        const [sealed] = anchor.checkpoints, [published] = anchor.publications;
        if (!sealed && !published) {
          fill(body, h("p.quiet", {}, anchor.origin ? "The log of verdicts is open; no checkpoint yet." : "No anchor has opened a log in this cluster yet."));
          return;
        }
        fill(body, h("dl.facts", {},
          sealed && [h("dt", {}, "Checkpoint"), h("dd", {}, `${say.several(sealed.size, "verdict")}, ${say.time(sealed.at_ms)}`)],
          published && [h("dt", {}, "Bitcoin"), h("dd", {}, h(`span.state.${published.status === "final" ? "good" : published.status === "stranded" ? "bad" : "busy"}`, {}, published.status),
            ` ${published.network || published.chain}${published.height ? `, block ${say.count(published.height)}` : ""}`)],
          published && [h("dt", {}, "Transaction"), h("dd.mono", { title: published.txid }, say.short(published.txid, 20))]));
      } catch (error) {
        fill(body, h("p.quiet", {}, error.message));
      }
    },
  };
}

function activityPanel(live) {
  const list = h("tbody");
  const empty = blank("Quiet", "Nothing has happened since this page was opened. Submit a task and watch it here.", h("p", {}, h("a.button", { href: "/tasks/new" }, "Submit a task")));
  const table = h("div.scroll-x", { tabindex: "0", role: "region", "aria-label": "Activity, table", hidden: true }, h("table.tasks-list", {},
    h("caption.hidden-visually", {}, "The newest log entries"),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "When"), h("th", { scope: "col" }, "Log"), h("th", { scope: "col" }, "What"))), list));
  const element = panel("Activity", { note: "newest first" }, empty, table);
  let newest = 0;
  return {
    element,
    update() {
      const rows = live.latest.slice(-ACTIVITY * 3).sort((one, other) => other.at_ms - one.at_ms).slice(0, ACTIVITY);
      if (!rows.length) return;
      // A few that are new are shown to be so; a flood of them speaks for itself.
      const fresh = newest && rows.filter((event) => event.at_ms > newest).length <= 4;
      empty.hidden = true;
      table.hidden = false;
      fill(list, rows.map((event) => h(`tr${fresh && event.at_ms > newest ? ".fresh" : ""}`, {},
        h("td.time", {}, say.time(event.at_ms, true)), h("td.faint", {}, event.log.toUpperCase()), h("td", {}, sentence(event)))));
      newest = rows[0].at_ms;
    },
  };
}
