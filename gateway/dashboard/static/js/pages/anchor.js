// The proof: signed states of the log of verdicts, their publication on Bitcoin, and a place to check a receipt that somebody was handed.

import { fill, h } from "../dom.js";
import * as say from "../format.js";
import { throttled } from "../live.js";
import { blank, bones, facts, panel, trouble } from "../parts.js";
import { receiptPanel } from "../receipt-panel.js";

const TONES = { final: "good", stranded: "bad", reorged: "alarm" };

export function open({ live, api, announce }) {
  const log = h("div", {}, bones(3)), checkpoints = h("div", {}, bones(5)), publications = h("div", {}, bones(5));
  const element = h("div.page", {}, h("div.page-head", {}, h("h1", {}, "Anchor"), h("p", {}, "what was accepted, sealed so that nobody can change it unseen")),
    h("div.columns", {},
      h("div.stack.w-7", {}, panel("On Bitcoin", { note: "newest first" }, publications), panel("Checkpoints", { note: "newest first" }, checkpoints)),
      h("div.stack.w-5", {}, receiptPanel({ api, announce }), panel("The log", { note: null }, log))));

  async function update() {
    try {
      const anchor = await api.anchor();
      fill(log, anchor.origin ? facts([["Origin", h("code.break", {}, anchor.origin)], ["Key", h("code.break", {}, anchor.key)], ["Without a receipt", anchor.unlogged ? say.count(anchor.unlogged) : ""]])
        : h("p.quiet", {}, "No anchor has opened a log in this cluster yet. `ambient up` starts one."));
      fill(publications, anchor.publications.length ? publicationTable(anchor.publications) : blank("Nothing published yet", "Once there is a checkpoint, the anchor commits to it in a Bitcoin transaction."));
      fill(checkpoints, anchor.checkpoints.length ? checkpointTable(anchor.checkpoints) : blank("No checkpoint yet", "The anchor signs the state of the log as verdicts come in."));
    } catch (error) {
      for (const each of [log, publications, checkpoints]) if (!each.querySelector("table, dl")) fill(each);
      fill(log, trouble(error, update));
    }
  }
  const soon = throttled(update, 1000);
  const end = live.on("log", (event) => event.log === "anchors" && soon());
  update();
  return {
    title: "Anchor",
    element,
    close() {
      end();
      soon.cancel();
    },
  };
}

const table = (label, heads, rows) => h("div.scroll-x", { tabindex: "0", role: "region", "aria-label": `${label}, table` }, h("table", {},
  h("thead", {}, h("tr", {}, heads.map(([name, number]) => h(`th${number ? ".number" : ""}`, { scope: "col" }, name)))), h("tbody", {}, rows)));

function checkpointTable(checkpoints) {
  return table("Checkpoints", [["Verdicts", true], ["Signed"], ["Note"]], checkpoints.slice(0, 12).map((each) => h("tr", {},
    h("td.number", {}, say.count(each.size)), h("td.time", {}, say.moment(each.at_ms)),
    h("td", {}, h("details", {}, h("summary", {}, "signed note"), h("pre", { tabindex: "0" }, each.note))))));
}

function publicationTable(publications) {
  return table("Publications", [["No", true], ["Status"], ["Transaction"], ["Block", true], ["Fee", true], ["Commits to"]], publications.slice(0, 12).map((each) => h("tr", {},
    h("td.number", {}, say.count(each.number)), h("td", {}, h(`span.state.${TONES[each.status] ?? "busy"}`, {}, each.status),
      h("details", {}, h("summary.faint", {}, say.several(each.steps.length, "step")), h("ul", {}, each.steps.map((one) => h("li.quiet", {}, `${say.time(one.at_ms)} ${one.kind}${one.height ? `, block ${say.count(one.height)}` : ""}${one.reason ? `, ${one.reason}` : ""}`))))),
    h("td", {}, h("code", { title: each.txid }, say.short(each.txid, 16)), h("div.faint", {}, each.network || each.chain)),
    h("td.number", {}, each.height ? say.count(each.height) : "–"), h("td.number", {}, `${say.count(each.fee_sat)} sat`),
    h("td", {}, Object.entries(each.roots).map(([origin, size]) => h("div", { title: origin }, origin === "ledger" ? `ledger, epoch ${say.count(size)}` : say.several(size, "verdict")))))));
}
