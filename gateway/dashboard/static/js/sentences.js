// Log entries in words: one sentence for one entry, with links to the task and the nodes in it.

import { h } from "./dom.js";
import { count, joined, several, span } from "./format.js";

export const taskLink = (task) => h("a", { href: `/tasks/${encodeURIComponent(task)}` }, task);
export const nodeLink = (node) => h("a", { href: `/nodes/${encodeURIComponent(node)}` }, node);

/** Names of nodes as links, the first few of many. */
export function nodeLinks(nodes, most = 4) {
  const parts = nodes.slice(0, most).flatMap((node, at) => (at ? [", ", nodeLink(node)] : [nodeLink(node)]));
  return nodes.length > most ? [...parts, ` and ${nodes.length - most} more`] : parts;
}

const SENTENCES = {
  asked: (item) => [taskLink(item.task), item.client ? ` asked by ${item.client}` : " asked"],
  cancel: (item) => [taskLink(item.task), " is to be cancelled"],
  assigned: (item) => [taskLink(item.task), " given to ", nodeLinks(item.nodes), item.attempt > 1 ? `, attempt ${item.attempt}` : ""],
  refused: (item) => [item.task ? taskLink(item.task) : `A submission of ${item.client}`, ` refused: ${item.field} ${item.limit}`],
  abandoned: (item) => [taskLink(item.task), ` given up: ${item.reason || item.status}`],
  enrolled: (item) => [nodeLink(item.node), " enrolled"],
  leader: (item) => [`${item.node || item.client || "A new leader"} leads, epoch ${item.epoch}`],
  claimed: (item) => [nodeLink(item.node), " answered ", taskLink(item.task), item.status === "ok" ? "" : `: ${item.status}${item.reason ? `, ${item.reason}` : ""}`, item.wall_ms ? ` in ${joined(span(item.wall_ms))}` : ""],
  accepted: (item) => [taskLink(item.task), ` ${item.status}${item.reason ? ` (${item.reason})` : ""}`, item.agree?.length ? [" by ", nodeLinks(item.agree)] : "", item.dissent?.length ? ["; outvoted: ", nodeLinks(item.dissent)] : ""],
  inconclusive: (item) => [taskLink(item.task), " needs more results", item.reason ? `: ${item.reason}` : ""],
  late: (item) => [nodeLink(item.node), " answered ", taskLink(item.task), " after its verdict"],
  sealed: (item) => [`Checkpoint signed over ${several(item.size, "verdict")}`],
  signed: (item) => [`Checkpoint signed over ${several(item.size, "verdict")}`],
  ledger: (item) => [`Ledger sealed, epoch ${item.epoch}`],
  order: () => ["An operator's order was carried out"],
  opened: () => ["The log of verdicts was opened"],
  unlogged: (item) => ["A line of VERDICTS got no receipt", item.task ? [": ", taskLink(item.task)] : ""],
  built: (item) => [`Publication ${item.number}: transaction built`],
  broadcast: (item) => [`Publication ${item.number}: sent to the network`],
  mined: (item) => [`Publication ${item.number}: in block ${count(item.height)}`],
  reorged: (item) => [`Publication ${item.number}: its block was replaced, it waits for another`],
  final: (item) => [`Publication ${item.number}: final, block ${count(item.height)}`],
  stranded: (item) => [`Publication ${item.number}: its coin is gone (${item.reason})`],
};

/** What an entry says; of many lines the first, and how many more there are. */
export function sentence(event) {
  const [first] = event.items;
  if (!first) return h("span.faint", {}, "nothing to show");
  const words = (SENTENCES[first.kind] ?? (() => [first.kind]))(first);
  return h("span", {}, words, event.items.length > 1 && h("span.faint", {}, ` and ${count(event.items.length - 1)} more`));
}
