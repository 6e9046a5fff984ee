// The part of a receipt about Bitcoin: how the commitment came into a block, and which blocks stand on top.

import { EASIEST_BITS, doubleSha256, readHeader, readTransaction, rootByBranch, workOf } from "./blocks.js";
import { LinkBroken, Malformed } from "./errors.js";
import { bytesOf, display, encode, hashOf, hex, joined, linesOf, same, stepsOf, textOf } from "./text.js";

const FIELD = "bitcoin";
const PARTS = ["network", "batch", "transaction", "branch", "coinbase", "coinbase-branch", "header", "successors"];
const SUCCESSORS = 6, MAX_SUCCESSORS = 144, MAX_BATCH = 16, MAX_DEPTH = 16;
/** A successor is kept without the id of the block before it: that is the hash of the header before, so the headers are a chain as they are read. */
const SHORT_BYTES = 48;
const AMBIGUOUS_BYTES = 64;
const OP_1 = 0x51, OP_16 = 0x60, MAX_HEIGHT_BYTES = 4;
const PREFIX = joined(Uint8Array.of(0x6a, 36), encode("AVCP"));
const SCRIPT_BYTES = 38;
/** What a coinbase spends: nothing, which is zeros and an index of ones. */
const NOTHING = "0".repeat(64) + "f".repeat(8);

/** { network, batch, tx, index, branch, coinbase, coinbaseBranch, headers }. Nothing is verified. */
export async function readPublished(data) {
  const parts = partsOf(data), one = (name) => {
    if (parts.get(name).length !== 1) throw new Malformed(`${FIELD} ${name}`, "must be one line");
    return parts.get(name)[0];
  };
  const [network, tx, coinbase, header] = ["network", "transaction", "coinbase", "header"].map(one);
  if (!Object.hasOwn(EASIEST_BITS, network)) throw new Malformed(`${FIELD} network`, `must be one of ${Object.keys(EASIEST_BITS).join(", ")}, not '${network.slice(0, 40)}'`);
  const batch = stepsOf(`${FIELD} batch`, parts.get("batch")), branch = stepsOf(`${FIELD} branch`, parts.get("branch"));
  const coinbaseBranch = parts.get("coinbase-branch").map((each) => hashOf(`${FIELD} coinbase-branch`, each));
  for (const [name, most, found] of [["batch", MAX_BATCH, batch], ["branch", MAX_DEPTH, branch], ["coinbase-branch", MAX_DEPTH, coinbaseBranch]]) {
    if (found.length > most) throw new Malformed(`${FIELD} ${name}`, `has at most ${most} steps, these are ${found.length}`);
  }
  return {
    network,
    batch,
    tx: bytesOf(`${FIELD} transaction`, tx),
    index: branch.reduce((sum, { isLeft }, level) => sum + (isLeft ? 1 << level : 0), 0),
    branch: branch.map(({ sibling }) => sibling),
    coinbase: bytesOf(`${FIELD} coinbase`, coinbase),
    coinbaseBranch,
    headers: await headersOf(bytesOf(`${FIELD} header`, header), parts.get("successors")),
  };
}

/** Each part is its name on a line, then its lines. */
function partsOf(data) {
  const parts = new Map();
  let name = "";
  for (const line of linesOf(FIELD, textOf(FIELD, data))) {
    if (PARTS.includes(line) && !parts.has(line)) parts.set(name = line, []);
    else if (parts.has(name)) parts.get(name).push(line);
    else parts.set(name, [line]);
  }
  if ([...parts.keys()].join() !== PARTS.join()) throw new Malformed(FIELD, `must have the parts ${PARTS.join(", ")}, in this order`);
  return parts;
}

async function headersOf(first, lines) {
  if (lines.length > MAX_SUCCESSORS) throw new Malformed(`${FIELD} successors`, `are at most ${MAX_SUCCESSORS}, these are ${lines.length}`);
  const headers = [await readHeader(first, `${FIELD} header`)];
  for (const line of lines) {
    const short = bytesOf(`${FIELD} successors`, line);
    if (short.length !== SHORT_BYTES) throw new Malformed(`${FIELD} successors`, `must have ${SHORT_BYTES} bytes: a header without its predecessor's id`);
    headers.push(await readHeader(joined(short.subarray(0, 4), headers.at(-1).hash, short.subarray(4))));
  }
  return headers;
}

/** The work in all headers, each under its own target. */
export function checkWork({ headers, network }) {
  if (headers.length < 1 + SUCCESSORS) throw new LinkBroken("headers", `${SUCCESSORS} blocks must follow, ${headers.length - 1} do`);
  return headers.reduce((sum, header) => sum + workOf(header, network), 0n);
}

/**
 * That transaction and coinbase are in the tree of the first block.
 *
 * The tree does not tell nodes from leaves (CVE-2017-12842). The coinbase is at its far left, so its branch has the true depth: a branch of another
 * depth is refused, and so is a transaction of 64 bytes.
 */
export async function checkBranches({ headers: [block], tx, index, branch, coinbase, coinbaseBranch }) {
  if (branch.length !== coinbaseBranch.length) throw new LinkBroken("coinbase branch", "it has another depth than the transaction's");
  for (const [link, raw, place, siblings] of [["coinbase branch", coinbase, 0, coinbaseBranch], ["Merkle branch", tx, index, branch]]) {
    if (raw.length === AMBIGUOUS_BYTES) throw new LinkBroken(link, "64 bytes can be a node of the tree as well as a transaction");
    const root = await rootByBranch(await doubleSha256(raw), place, siblings);
    if (!root || !same(root, block.merkleRoot)) throw new LinkBroken(link, `it does not lead to the root in block ${display(block.hash)}`);
  }
}

/** { height, committed (hex) }: the block's height, out of its coinbase (BIP 34), and what the transaction publishes. */
export function readCommitted({ tx, coinbase }) {
  const first = readTransaction(coinbase, "coinbase");
  if (first.inputs.length !== 1 || first.inputs[0].spends !== NOTHING) throw new LinkBroken("coinbase", "the first transaction of a block spends nothing, and this one does");
  const found = readTransaction(tx, "tx").outputs.filter((script) => script.length === SCRIPT_BYTES && same(script.subarray(0, PREFIX.length), PREFIX));
  if (found.length !== 1) throw new LinkBroken("transaction", `one output that publishes a commitment is asked for, it has ${found.length}`);
  return { committed: hex(found[0].subarray(PREFIX.length)), height: heightIn(first.inputs[0].script) };
}

function heightIn(script) {
  const first = script.length ? script[0] : 0;
  if (first >= OP_1 && first <= OP_16) return first - OP_1 + 1;
  if (first < 1 || first > MAX_HEIGHT_BYTES || script.length <= first) throw new LinkBroken("coinbase", "its script does not begin with the block's height");
  const bytes = script.subarray(1, 1 + first);
  if (bytes.at(-1) & 0x80) throw new LinkBroken("coinbase", "the block's height is negative");
  return bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
}
