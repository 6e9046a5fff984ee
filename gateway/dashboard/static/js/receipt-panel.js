// A place to drop a receipt, and what its check shows, step by step. The check runs in this browser and asks nobody; where the browser cannot, the
// gateway makes it, and the page says so.

import { fill, h } from "./dom.js";
import * as say from "./format.js";
import { dropZone, facts, panel, trouble } from "./parts.js";
import { checkReceipt } from "./receipt/check.js";
import { missing } from "./receipt/hashes.js";
import { taskLink } from "./sentences.js";

const TONES = { holds: "good", broken: "bad" };
const MOST_BYTES = 16 * 1024 * 1024;

export function receiptPanel({ api, announce }) {
  const found = h("div", { role: "status" });
  const check = async (file) => {
    fill(found, h("p.quiet", {}, `Checking ${file.name}…`));
    try {
      if (file.size > MOST_BYTES) throw new Error(`${file.name} has ${say.joined(say.bytes(file.size))}; a receipt has at most ${say.joined(say.bytes(MOST_BYTES))}.`);
      const data = await file.arrayBuffer(), why = await missing();
      const report = why ? await api.verifyReceipt(data) : await checkReceipt(new Uint8Array(data));
      fill(found, said(report, file.name, why));
      announce(report.holds ? "The receipt holds" : `The receipt does not hold: ${report.error}`);
    } catch (error) {
      fill(found, trouble(error));
    }
  };
  return panel("Check a receipt", { note: null }, h("div.stack", {},
    dropZone({ name: "receipt", label: "A receipt file", hint: "drop it here, or choose it: it is checked in this browser and sent nowhere", accept: ".receipt,*/*", onFile: check }), found));
}

function said(report, name, why) {
  return h("div.stack", {},
    report.holds
      ? h("div.said-good", {}, h("strong", {}, `${name} holds`), h("div", {}, subject(report)))
      : h("div.problem", { role: "alert" }, h("strong", {}, `${name} does not hold`), h("span", {}, report.error), report.link && h("div.faint", {}, `broken link: ${report.link}`)),
    h("p.quiet.checked-by", {}, why ? `Checked by the gateway and not in this browser: ${why}. Whoever does not trust the gateway runs ambient verify.` : "Checked in this browser; nobody was asked."),
    report.steps && h("section.check-part", { "aria-label": "Steps of the check" }, h("h3", {}, "Steps"), h("ol.stack.check-steps", {}, report.steps.map(step))),
    report.proven.length > 0 && h("section.check-part", { "aria-label": "What is shown" }, h("h3", {}, "Shown"), sentences(report.proven, "good", "shown")),
    report.unproven.length > 0 && h("section.check-part", { "aria-label": "What was not checked" }, h("h3", {}, "Not checked"), sentences(report.unproven, "gone", "not shown")),
    facts([["Output", report.output_digest && h("code", { title: report.output_digest }, say.short(report.output_digest, 24))],
      ["Entry", report.holds && report.kind === "task" ? `number ${say.count(report.leaf)} of ${say.count(report.size)}, from 0` : ""],
      ["Block", report.block && `${say.count(report.block.height)}, by its clock ${say.moment(report.block.time_s * 1000)}`], ["Nodes", Object.keys(report.nodes).join(", ")]]));
}

const subject = (report) => (report.kind === "account" ? `of ${report.name}` : ["task ", taskLink(report.name), ` ended as ${report.status}`]);
const step = ({ name, state }) => h("li", {}, h(`span.state.${TONES[state] ?? "gone"}`, {}, state), h("div.break", {}, name));
const sentences = (list, tone, word) => h("ul.stack", {}, list.map((each) => h("li", {}, h(`span.state.${tone}`, {}, word), h("div.break", {}, each))));
