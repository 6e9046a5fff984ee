// One task's whole path: asked, decided, claimed, accepted, proven; who did it and when, and why it waits where it does.

import { fill, h, refill } from "../dom.js";
import * as say from "../format.js";
import { throttled } from "../live.js";
import { action, bones, facts, panel, save, trouble } from "../parts.js";
import { nodeLink, nodeLinks } from "../sentences.js";
import { isFinished, taskState } from "../states.js";

const SHOWN_BYTES = 256 * 1024;
const LOG = { asked: "TASKS", decided: "ASSIGNMENTS", claimed: "RESULTS", accepted: "VERDICTS", proven: "ANCHORS" };

export function open({ live, api, params: [name], announce }) {
  const badge = h("span", { "data-role": "state" }, ""), buttons = h("div.buttons", {}), body = h("div.stack", {}, bones(8));
  const element = h("div.page", {}, h("div.page-head", {},
    h("div", {}, h("a.crumb", { href: "/tasks" }, "Tasks"), h("h1.break", {}, name)), h("div.buttons", {}, badge, buttons)), body);
  const path = h("ol.path", {}), times = h("div.times", {}), why = h("div", {}), outcome = h("div", {}), about = h("div", {});
  const whyPanel = panel("Why it waits", { note: "as the coordinator sees it now" }, why);
  let shown = "", detail = null, closed = false, poll = 0;

  async function update() {
    clearTimeout(poll);
    try {
      detail = await api.task(name);
    } catch (error) {
      if (closed) return;
      // Just submitted: the gateway reads the log a moment later.
      if (error.status === 404 && performance.now() - begun < 3000) poll = setTimeout(update, 300);
      else if (!shown) fill(body, trouble(error, update));
      return;
    }
    if (closed) return;
    const key = JSON.stringify(detail);
    const open_ = !isFinished(detail.state);
    if (key !== shown) {
      if (!shown) fill(body, h("div.columns", {}, h("div.stack.w-7", {}, panel("Its path", { note: null }, h("div.stack", {}, times, path)), whyPanel), h("div.stack.w-5", {}, panel("Outcome", { note: null }, outcome), panel("What was asked", { note: null }, about))));
      shown = key;
      show();
    }
    whyPanel.hidden = !open_ && detail.state !== "refused";
    if (!whyPanel.hidden) askWhy();
    if (open_ || (detail.state !== "refused" && !["final", "none"].includes(detail.proven.state))) poll = setTimeout(update, open_ ? 1000 : 3000);
  }
  const begun = performance.now();

  function show() {
    const before = badge.textContent;
    fill(badge, taskState(detail.state));
    if (before && before !== detail.state) announce(`${name}: ${detail.state}`);
    refill(path, steps(detail));
    fill(times, stages(detail));
    fill(about, spec(detail));
    showOutcome();
    const offered = [];
    if (!isFinished(detail.state)) offered.push(action("Cancel", async () => {
      try {
        await api.cancel(name);
        announce("Cancellation asked");
      } catch (error) {
        announce(error.message);
      }
    }, { kind: "danger" }));
    if (["signed", "final"].includes(detail.proven.state)) offered.push(action("Download receipt", download));
    refill(buttons, offered);
  }

  async function download() {
    try {
      save(await api.receipt(name), `${name}.receipt`);
      announce("Receipt saved");
    } catch (error) {
      announce(error.message);
      fill(buttons, h("span.quiet", {}, error.message));
    }
  }

  async function askWhy() {
    try {
      const reply = await api.why(name);
      if (!closed) fill(why, h("p", {}, reply.detail || `${reply.field} ${reply.limit}`), reply.nodes.length > 0 && reasons(reply.nodes));
    } catch (error) {
      if (!closed) fill(why, h("p.quiet", {}, error.message));
    }
  }

  let outputOf = "";
  async function showOutcome() {
    const verdict = detail.accepted;
    if (!verdict) {
      fill(outcome, detail.state === "refused" ? h("p", {}, "Refused before it ran: ", refusal(detail)) : h("p.quiet", {}, "No verdict yet."));
      return;
    }
    const key = `${verdict.status}${verdict.output_digest}`;
    if (key === outputOf) return;
    outputOf = key;
    const box = h("div", {}, verdict.output_size ? bones(2) : h("p.quiet", {}, verdict.status === "verified" ? "The output is empty." : "There is no output."));
    fill(outcome, h("div.stack", {}, box, verdict.stderr && h("details", {}, h("summary", {}, "Standard error"), h("pre.output", { tabindex: "0" }, verdict.stderr)),
      facts([
        ["Reason", verdict.reason], ["Detail", verdict.detail], ["Exit code", verdict.exit_code || ""],
        ["Agreed", verdict.agree.length ? h("span", {}, nodeLinks(verdict.agree, 8)) : ""], ["Outvoted", verdict.dissent.length ? h("span", {}, nodeLinks(verdict.dissent, 8)) : ""],
        ["Failed", verdict.faulted.length ? h("span", {}, nodeLinks(verdict.faulted, 8)) : ""], ["Policy", say.policy(verdict.verify)],
        ["Instructions", verdict.fuel ? say.count(verdict.fuel) : ""], ["Wall time", verdict.wall_ms ? say.joined(say.span(verdict.wall_ms)) : ""],
        ["Peak memory", verdict.peak_memory_bytes ? say.joined(say.bytes(verdict.peak_memory_bytes)) : ""],
        ["Energy", verdict.energy_method ? `${say.joined(say.energy(verdict.energy_j))}, all nodes (${verdict.energy_method})` : ""],
        ["Output", verdict.output_digest ? h("code", { title: verdict.output_digest }, say.short(verdict.output_digest, 24)) : ""],
        ["Reward", verdict.reward ? say.joined(say.msat(verdict.reward)) : ""],
      ])));
    if (!verdict.output_size) return;
    try {
      const data = await api.output(name);
      if (!closed) fill(box, output(data, () => save(new Blob([data]), `${name}.output`)));
    } catch (error) {
      if (!closed) fill(box, h("p.quiet", {}, error.message));
    }
  }

  const soon = throttled(update, 150);
  const end = live.on("log", (event) => {
    if (event.items.some((item) => item.task === name) || (event.log === "anchors" && detail?.accepted)) soon();
  });
  update();
  return {
    title: name,
    element,
    close() {
      closed = true;
      clearTimeout(poll);
      soon.cancel();
      end();
    },
  };
}

function refusal(detail) {
  const said = detail.decided.find((each) => each.kind === "refused");
  return said ? `${said.field}: ${said.limit}` : "see below";
}

function output(data, onSave) {
  const words = data.length <= SHOWN_BYTES ? say.decoded(data) : null;
  return h("div.stack", {},
    words === null ? h("pre.output", { tabindex: "0", "aria-label": "Output as bytes" }, say.hexdump(data)) : h("pre.output", { tabindex: "0", "aria-label": "Output" }, words),
    h("div.buttons", {}, h("span.quiet", {}, `${say.count(data.length)} bytes`), h("button.button.plain", { type: "button", onclick: onSave }, "Save")));
}

function reasons(nodes) {
  return h("div.scroll-x", { tabindex: "0", role: "region", "aria-label": "Node by node, table" }, h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Node"), h("th", { scope: "col" }, "Chosen"), h("th", { scope: "col" }, "Because"))),
    h("tbody", {}, nodes.slice(0, 50).map((each) => h("tr", {}, h("td", {}, nodeLink(each.node)), h("td", {}, each.chosen ? "yes" : "no"), h("td", {}, each.reason))))));
}

// The path

function step({ atMs, startMs, title, log, sequence, tone = "", content }) {
  const after = atMs && startMs && atMs > startMs ? `+ ${say.joined(say.span(atMs - startMs))}` : "";
  return h(`li${tone ? `.${tone}` : ""}`, {},
    h("div.when", {}, atMs ? say.time(atMs, true) : h("span.faint", {}, tone === "to-come" ? "to come" : "before"), h("small", {}, after)),
    h("div.step", {}, h("h3", {}, title, " ", log && h("span.faint", {}, sequence ? `${log} ${say.count(sequence)}` : log)), content));
}

function steps(detail) {
  const startMs = detail.asked?.at_ms ?? detail.decided[0]?.at_ms ?? 0, out = [];
  if (detail.asked) out.push(step({ atMs: detail.asked.at_ms, title: "Asked", log: LOG.asked, sequence: detail.asked.sequence, content: h("p", {}, "by ", h("b", {}, detail.asked.client)) }));
  for (const each of detail.decided) out.push(decision(each, startMs));
  const claims = [...detail.claimed];
  for (const claim of claims) out.push(claimed(claim, startMs));
  if (detail.accepted) out.push(accepted(detail.accepted, startMs));
  if (detail.state === "refused") return out;
  if (!detail.decided.length) out.push(step({ title: "Decided", log: LOG.decided, tone: "to-come", content: h("p.quiet", {}, "the coordinator chooses nodes") }));
  if (!detail.accepted && !claims.length) out.push(step({ title: "Claimed", log: LOG.claimed, tone: "to-come", content: h("p.quiet", {}, "nodes run it and sign what came out") }));
  if (!detail.accepted) out.push(step({ title: "Accepted", log: LOG.accepted, tone: "to-come", content: h("p.quiet", {}, "the verifier applies the policy to the claims") }));
  out.push(...proof(detail, startMs));
  return out;
}

/** Where the time went, until the verdict: a bar in proportion, and the spans in words. */
function stages(detail) {
  const asked = detail.asked?.at_ms, given = detail.decided.filter((each) => each.kind === "assigned"), ended = detail.accepted?.at_ms;
  if (!asked || !ended || !given.length) return null;
  const first = given[0].at_ms, last = Math.max(first, ...detail.claimed.filter((each) => each.counted && each.at_ms <= ended).map((each) => each.at_ms));
  const spans = [["to decide", first - asked, "k1"], ["to run and sign", last - first, "k3"], ["to judge", ended - last, "k2"]].map(([name, ms, tone]) => [name, Math.max(0, ms), tone]);
  const whole = Math.max(1, ended - asked);
  return [h("div.shares", { "aria-hidden": "true" }, spans.map(([, ms, tone]) => {
    const piece = h(`i.${tone}`);
    piece.style.width = `${(ms / whole) * 100}%`;
    return piece;
  })), h("div.legend", {}, h("span", {}, h("b", {}, say.joined(say.span(whole))), h("span.quiet", {}, " from asked to accepted")), spans.map(([name, ms, tone]) => h(`span.key.${tone}`, {}, h("b", {}, say.joined(say.span(ms))), ` ${name}`)))];
}

function decision(each, startMs) {
  const common = { atMs: each.at_ms, startMs, log: LOG.decided, sequence: each.sequence };
  if (each.kind === "refused") return step({ ...common, title: "Refused", tone: "bad", content: h("p", {}, `${each.field}: ${each.limit}`) });
  if (each.kind === "abandoned") return step({ ...common, title: "Given up", tone: "bad", content: h("p", {}, each.reason) });
  return step({
    ...common, title: each.attempt > 1 ? `Decided, attempt ${each.attempt}` : "Decided",
    content: [h("p", {}, "given to ", nodeLinks(each.nodes, 8)), each.replaces.length > 0 && h("p.quiet", {}, "in place of ", nodeLinks(each.replaces, 8))],
  });
}

function claimed(claim, startMs) {
  const parts = [
    claim.wall_ms && say.joined(say.span(claim.wall_ms)), claim.fuel && `${say.count(claim.fuel)} instructions`,
    claim.energy_method && `${say.joined(say.energy(claim.energy_j))} (${claim.energy_method})`,
  ].filter(Boolean);
  return step({
    atMs: claim.at_ms, startMs, title: "Claimed", log: LOG.claimed, sequence: claim.sequence, tone: claim.status === "fault" ? "bad" : "",
    content: [h("p", {}, "signed by ", nodeLink(claim.node), `: ${claim.status}${claim.reason ? `, ${claim.reason}` : ""}`, claim.counted ? "" : h("span.faint", {}, " (not counted)")), parts.length > 0 && h("p.quiet", {}, parts.join(" · "))],
  });
}

function accepted(verdict, startMs) {
  return step({
    atMs: verdict.at_ms, startMs, title: "Accepted", log: LOG.accepted, sequence: verdict.sequence, tone: verdict.status === "verified" ? "" : "bad",
    content: [h("p", {}, taskState(verdict.status), ` under ${say.policy(verdict.verify)}`, verdict.agree.length > 0 && [", agreed by ", nodeLinks(verdict.agree, 8)]),
      verdict.dissent.length > 0 && h("p", {}, "outvoted: ", nodeLinks(verdict.dissent, 8))],
  });
}

function proof(detail, startMs) {
  const proven = detail.proven, out = [];
  if (proven.state === "none" || proven.state === "logged") {
    return [step({ title: "Proven", log: LOG.proven, tone: "to-come", content: h("p.quiet", {}, proven.said || "a checkpoint signs it, a transaction publishes the checkpoint") })];
  }
  out.push(step({ atMs: proven.at_ms, startMs, title: "Proven", log: LOG.proven, content: h("p", {}, `in a signed checkpoint${proven.size ? ` of ${say.several(proven.size, "verdict")}` : ""}`) }));
  if (proven.published_ms || proven.txid) {
    out.push(step({ atMs: proven.published_ms, startMs, title: "Published", content: [h("p", {}, `on ${proven.network || "Bitcoin"}, transaction `, h("code", { title: proven.txid }, say.short(proven.txid, 16)))] }));
  }
  const done = proven.state === "final";
  out.push(step({
    atMs: done ? proven.final_ms : 0, startMs, title: "Final", tone: done ? "" : "to-come",
    content: h("p", { class: done ? "" : "quiet" }, done ? `block ${say.count(proven.height)} with enough blocks on top` : proven.said || "waits for enough blocks"),
  }));
  return out;
}

function spec(detail) {
  const asked = detail.asked?.spec;
  if (!asked) return h("p.quiet", {}, "The log no longer holds the submission.");
  const work = asked.work ?? {}, limits = asked.limits ?? {}, place = asked.place ?? {};
  const input = work.input ? atob(work.input) : "";
  return h("div.stack", {}, facts([
    ["Module", work.module && h("code", { title: work.module }, say.short(work.module, 24))], ["Entry", work.entry ?? "_start"],
    ["Arguments", work.args?.length ? h("code", {}, work.args.map(String).join(" ")) : ""],
    ["Input", work.input_blob ? h("code", { title: work.input_blob }, say.short(work.input_blob, 24)) : input ? `${say.count(input.length)} bytes` : ""],
    ["Policy", say.policy(asked.verify)], ["Priority", asked.priority], ["Memory", limits.memory_mb && `${say.count(limits.memory_mb)} MiB`], ["Fuel", limits.fuel && say.count(limits.fuel)],
    ["Time", limits.wall_ms && say.joined(say.span(limits.wall_ms))], ["Place", Object.keys(place).length ? JSON.stringify(place) : ""], ["Reward", asked.reward && say.joined(say.msat(asked.reward))],
  ]), h("details", {}, h("summary", {}, "As it was written"), h("pre", { tabindex: "0" }, JSON.stringify(asked, null, 2))));
}
