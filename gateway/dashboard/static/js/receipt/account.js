// The receipt of an account: from what the ledger holds under a name, through the ledger's signed state, to the blocks on top of its commitment.
//
// The ledger's trees are sparse, over keys of 256 bits (docs/ledger.md): a subtree without leaves is 32 zero bytes, and one with a single leaf is
// that leaf. So what stands in the place of a name that is not there is nothing, or one other leaf whose key begins with the same bits.

import { CHAIN_STEPS, checkChain } from "./chain.js";
import { LinkBroken, Malformed } from "./errors.js";
import { leafHash, sha256, walk } from "./hashes.js";
import { plain, readJson } from "./json.js";
import { ED25519, readKeys, readNote, signersOf } from "./note.js";
import { readPublished } from "./published.js";
import { count } from "./report.js";
import { HASH_BYTES, bytesOf, encode, hex, joined, linesOf, partition, quoted, same, stepsOf, textOf } from "./text.js";

const TREES = ["accounts", "energy"];
const DOMAIN = "ambient ledger state 1";
const DEEPEST = 256;
export const ACCOUNT_STEPS = ["Form of the receipt", "Entry in the ledger", "Signature of the ledger's state", ...CHAIN_STEPS];

/** The parts of an account's receipt out of its sections. Nothing is verified. */
export async function readAccount(sections) {
  if (!["account,keys,state", "account,keys,state,bitcoin"].includes(sections.map(([name]) => name).join())) {
    throw new Malformed("file", "must have the sections account, keys, state, then bitcoin if any");
  }
  const [account, keys, state, bitcoin] = sections.map(([, body]) => body), lines = linesOf("account", textOf("account", account));
  if (lines.length < 3 || !TREES.includes(lines[0])) throw new Malformed("account", `must begin with one of ${TREES.join(", ")}, a name, and what stands there`);
  const found = await readKeys(keys);
  if (found.length !== 1) throw new Malformed("keys", `must be the log's alone, these are ${found.length}`);
  const steps = stepsOf("account steps", lines.slice(3));
  if (steps.length > DEEPEST) throw new Malformed("account steps", `are at most ${DEEPEST}, these are ${steps.length}`);
  return { tree: lines[0], name: lines[1], ...stands(lines[2]), steps, key: found[0], state: readNote(state, "state"), bitcoin: bitcoin ? await readPublished(bitcoin) : null };
}

/** The leaf (bytes), or its neighbour (key and hash), or neither. */
function stands(line) {
  const [word, , rest] = partition(line, " ");
  if (word === "leaf" && rest) return { leaf: encode(rest), neighbour: null };
  if (word === "neighbour") {
    const neighbour = bytesOf("account neighbour", rest);
    if (neighbour.length === 2 * HASH_BYTES) return { leaf: null, neighbour };
  } else if (line === "nothing") {
    return { leaf: null, neighbour: null };
  }
  throw new Malformed("account", `must say 'leaf', 'neighbour' with ${2 * HASH_BYTES} bytes, or 'nothing'`);
}

/** Check a receipt that was read; what it shows goes to `report`, how far it came to `trail`. */
export async function checkAccount(receipt, report, trail) {
  const [state, leaf] = await trail.pass(ACCOUNT_STEPS[1], async () => {
    const signed = readState(receipt.state);
    return [signed, await checkTree(receipt, signed)];
  });
  await trail.pass(ACCOUNT_STEPS[2], () => checkSigned(receipt));
  Object.assign(report, { kind: "account", name: receipt.name, held: plain(leaf) });
  const [epoch, verdicts, anchors, credited, burned] = ["epoch", "verdicts", "anchors", "credited", "burned"].map((name) => state.get(name));
  report.proven.push(sentence(receipt, leaf),
    `So says state ${epoch} of the ledger, which the log's key ${receipt.key.text} signed: with the verdicts up to ${verdicts} of VERDICTS and the orders up to ${anchors} of ANCHORS.`,
    `In it all accounts together hold ${count(credited - burned)} msat: ${count(credited)} credited, ${count(burned)} burned.`);
  report.unproven.push(`That ${receipt.key.text} is the log that you trust: compare it, or name it with --log-key.`,
    "That the sums are right: who reads both logs can add them up (docs/ledger.md).", "What was paid and counted after that state.");
  await checkChain(receipt.bitcoin, await sha256(encode(receipt.state.text.slice(0, -1))), report, trail, "The ledger's state");
  if (!receipt.bitcoin) report.unproven.push("When this state was there: no Bitcoin block is shown.");
}

function readState(note) {
  const lines = linesOf("state", note.text);
  if (lines.length !== 2 || lines[0] !== DOMAIN) throw new Malformed("state", `must have two lines: '${DOMAIN}', and a line of ANCHORS`);
  const state = readJson("state", encode(lines[1]));
  if (state.get("kind") !== "ledger") throw new Malformed("state.kind", `must be 'ledger', not ${quoted(state.get("kind"))}`);
  for (const name of ["epoch", "verdicts", "anchors", "credited", "burned"]) whole("state", state, name);
  return state;
}

function whole(field, said, name) {
  if (typeof said.get(name) !== "bigint" || said.get(name) < 0n) throw new Malformed(`${field}.${name}`, "must be a whole number, not negative");
}

/** What stands under the name (null: nothing), once it is sure that the tree with the state's root holds it there. */
async function checkTree({ tree, name, leaf, neighbour, steps }, state) {
  const key = await sha256(encode(name));
  // Lowest first: the last step is at the root, where the first bit of the key decides.
  if (!steps.toReversed().every(({ isLeft }, at) => isLeft === bitOf(key, at))) throw new LinkBroken("path", `it does not lead to the place of ${name}`);
  let held = null, found = new Uint8Array(HASH_BYTES);
  if (leaf) {
    held = readLeaf(tree, name, leaf);
    found = await leafHash(joined(key, await sha256(leaf)));
  } else if (neighbour) {
    const other = neighbour.subarray(0, HASH_BYTES);
    if (same(other, key) || !steps.every((_, at) => bitOf(other, at) === bitOf(key, at))) {
      throw new LinkBroken("neighbour", "it does not stand in the place of this name, or is that very one");
    }
    found = await leafHash(neighbour);
  }
  const root = hex(await walk(found, steps)), said = state.get(`${tree}_root`) ?? "nothing";
  if (root !== said) throw new LinkBroken("root", `leaf and path lead to ${root}, the state says ${[...String(said)].slice(0, 64).join("")}`);
  return held;
}

const bitOf = (key, at) => Boolean((key[at >> 3] >> (7 - (at & 7))) & 1);

function readLeaf(tree, name, line) {
  const leaf = readJson("leaf", line), energy = leaf.get("energy_uj");
  let named = String(leaf.get("account"));
  if (tree === "energy") {
    named += ` ${leaf.get("month")}`;
    if (!(energy instanceof Map)) throw new Malformed("leaf.energy_uj", "must be an object: microjoules by method");
    for (const method of energy.keys()) whole("leaf.energy_uj", energy, method);
  }
  for (const each of tree === "accounts" ? ["received", "given"] : ["results", "fuel"]) whole("leaf", leaf, each);
  if (named !== name) throw new LinkBroken("leaf", `it is of ${quoted(named, 130)}, not of ${quoted(name, 130)}`);
  return leaf;
}

async function checkSigned({ key, state }) {
  if (key.kind !== ED25519) throw new LinkBroken("log's key", "it must be the log's own, no cosigner's");
  const signed = await signersOf(state, [key]);
  if (!signed.has(key.text) || state.signatures.length !== 1) throw new LinkBroken("state", `it must be signed by ${key.name}, and by nobody else`);
}

function sentence({ tree, name }, leaf) {
  if (tree === "accounts") {
    if (!leaf) return `${name} is not in the ledger: it never received or gave anything.`;
    const [received, given] = [leaf.get("received"), leaf.get("given")];
    return `${name} holds ${count(received - given)} msat: it received ${count(received)} and gave ${count(given)}.`;
  }
  if (!leaf) return `Nothing was counted for ${name}.`;
  const million = 1_000_000n;
  const methods = [...leaf.get("energy_uj")].map(([method, uj]) => `${count(uj / million)}.${String(uj % million).padStart(6, "0")} J ${method}`).join(", ");
  return `${name} took ${methods}: ${count(leaf.get("results"))} results, ${count(leaf.get("fuel"))} fuel.`;
}
