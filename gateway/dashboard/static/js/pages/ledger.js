// Rewards and energy: what accounts hold, what nodes took, and with which method each figure of energy is known.

import { field, fill, h, markWrong, text } from "../dom.js";
import * as say from "../format.js";
import { throttled } from "../live.js";
import { action, bones, facts, load, panel, save, trouble } from "../parts.js";

const ACCOUNT = /^(client|node)\/[A-Za-z0-9_-]{1,64}$/;

export function open({ live, api, query }) {
  const state = h("div", {}, bones(4)), energy = h("div", {}, bones(4)), found = h("div", { role: "status" });
  const account = h("input", { name: "account", placeholder: "client/me or node/node-1", autocomplete: "off", spellcheck: "false", value: query.get("account") ?? "" });
  const form = h("form.tools", { novalidate: true, "aria-label": "An account" }, h("div.grow", {}, field("Account", account, { hint: "client/<name> or node/<name>" })), h("button.button", { type: "submit" }, "Look"));
  const element = h("div.page", {}, h("div.page-head", {}, h("h1", {}, "Ledger and energy"), h("p", {}, "amounts are entries in a ledger of this cluster, not coins")),
    h("div.columns", {}, h("div.stack.w-6", {}, panel("Energy of the nodes", { note: "as each reports it, since it started" }, energy), panel("The ledger", { note: null }, state)),
      panel("An account", { note: null, width: "w-6" }, h("div.stack", {}, form, found))));

  async function update() {
    await Promise.all([
      load(energy, api.energy, (each) => energyTable(each)),
      load(state, api.ledger, (each) => ledgerState(each)),
    ]);
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const name = account.value.trim();
    if (!ACCOUNT.test(name)) {
      markWrong(form, { account: "An account is client/<name> or node/<name>." });
      return;
    }
    markWrong(form, {});
    history.replaceState(null, "", `/ledger?account=${encodeURIComponent(name)}`);
    fill(found);
    const [balance, month] = await Promise.allSettled([api.balance(name), api.energyOf(name)]);
    const called = name.replace("/", "-"), booked = month.status === "fulfilled" && month.value.month;
    fill(found, balance.status === "fulfilled" ? [balanceOf(balance.value), download("Download receipt", () => api.accountReceipt(name), called)] : trouble(balance.reason),
      month.status === "fulfilled" && energyOf(month.value), booked && download("Download the month's receipt", () => api.monthReceipt(name, booked), `${called}-${booked}`));
  });
  /** A button that saves a receipt and says how far it goes, or why there is none yet. */
  function download(label, ask, called) {
    const said = h("span.quiet", { role: "status" });
    return h("div.buttons", {}, action(label, async () => {
      try {
        const { blob, state } = await ask();
        save(blob, `${called}.receipt`);
        text(said, state === "final" ? "Saved: it goes down to a Bitcoin block." : "Saved: the log's key has signed it; no block is under it yet.");
      } catch (error) {
        text(said, error.message);
      }
    }), said);
  }
  const soon = throttled(update, 3000);
  const end = live.on("stats", soon);
  update();
  if (account.value) form.requestSubmit();
  return {
    title: "Ledger and energy",
    element,
    close() {
      end();
      soon.cancel();
    },
  };
}

function energyTable(energy) {
  const methods = Object.entries(energy.by_method);
  return h("div.stack", {}, h("dl.figures", {}, h("div", {}, h("dt", {}, "Now"), h("dd.figure", {}, say.digits(energy.watts), h("small", {}, "W")), h("dd.note", {}, say.several(energy.nodes, "node"))),
    h("div", {}, h("dt", {}, "In all"), h("dd.figure", {}, say.energy(energy.energy_j)[0], h("small", {}, say.energy(energy.energy_j)[1])), h("dd.note", {}, "since each started"))),
  methods.length > 0 && h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "How it is known"), h("th.number", { scope: "col" }, "Energy"))),
    h("tbody", {}, methods.map(([method, joules]) => h("tr", {}, h("th", { scope: "row" }, method || "not said"), h("td.number", {}, say.joined(say.energy(joules))))))));
}

function ledgerState(state) {
  if (!state.epoch) return h("p.quiet", {}, "No state was sealed yet. Credits and rewards begin with an operator's order: see ", h("code", {}, "ambient ledger"), ".");
  return facts([["Epoch", say.count(state.epoch)], ["Sealed", say.moment(state.at_ms)], ["Accounts", say.count(state.accounts)], ["Credited", say.joined(say.msat(state.credited))], ["Burned", say.joined(say.msat(state.burned))],
    ["Held by all", say.joined(say.msat(state.credited - state.burned))], ["Covers", `VERDICTS up to ${say.count(state.verdicts)}`],
    ["Accounts' root", h("code.break", {}, state.accounts_root)], ["Energy's root", h("code.break", {}, state.energy_root)], ["Burns' root", h("code.break", {}, state.burns_root)]]);
}

function balanceOf(balance) {
  return h("div.stack", {}, h("dl.figures", {}, h("div", {}, h("dt", {}, balance.account), h("dd.figure", {}, say.msat(balance.balance)[0], h("small", {}, "sat")), h("dd.note", {}, "balance"))),
    facts([["Received", say.joined(say.msat(balance.received))], ["Gave", say.joined(say.msat(balance.given))], ["Set aside", balance.held === null ? "" : say.joined(say.msat(balance.held))],
      ["Free to offer", balance.free === null ? "" : say.joined(say.msat(balance.free))], ["As of", `verdict ${say.count(balance.verdicts)}, epoch ${say.count(balance.epoch)}`]]));
}

function energyOf(energy) {
  if (!energy.month) return h("p.quiet", {}, "No energy is booked for it yet.");
  return facts([["Month", energy.month], ["Results counted", say.count(energy.results)], ["Instructions", say.count(energy.fuel)],
    ...Object.entries(energy.energy_uj).map(([method, micro]) => [`Energy, ${method}`, say.joined(say.energy(micro / 1e6))])]);
}
