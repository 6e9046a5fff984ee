// Bitcoin's blocks as a receipt shows them: headers and the work that they prove, transactions, and the tree between both.
//
// Guarantees that no byte is believed and none is read past the end. Left to whoever reads: whether these headers are of the chain with the most
// work, and whether their targets are the ones that the network asked for at that height; that takes all headers before them.

import { LinkBroken, Malformed } from "./errors.js";
import { sha256 } from "./hashes.js";
import { HASH_BYTES, display, hex, joined, same } from "./text.js";

const MAX_BLOCK_WEIGHT = 4_000_000;
/** The easiest target that a header of each network may have: `anchor/receipt/bitcoin/header.py` says why these. */
export const EASIEST_BITS = { main: 0x177fffff, testnet4: 0x1d00ffff, signet: 0x1e0377ae, regtest: 0x207fffff };

export const doubleSha256 = async (data) => sha256(await sha256(data));
const little = (data) => data.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);

/** Reads from the beginning; every failure names `what`. */
class Reader {
  constructor(data, what) {
    this.data = data;
    this.what = what;
    this.at = 0;
  }

  take(count) {
    const end = this.at + count;
    if (end > this.data.length) throw new Malformed(this.what, `it ends after ${this.data.length} bytes, and byte ${end} is asked for`);
    const taken = this.data.subarray(this.at, end);
    this.at = end;
    return taken;
  }

  number = (size) => Number(little(this.take(size)));

  /** A CompactSize in its shortest spelling only. */
  compact(field) {
    const first = this.number(1);
    if (first < 0xfd) return first;
    const size = 1 << (first - 0xfc), number = little(this.take(size));
    if (number < (size === 2 ? 0xfdn : 1n << BigInt(4 * size))) throw new Malformed(`${this.what}.${field}`, "a size must be in its shortest spelling");
    if (number > MAX_BLOCK_WEIGHT) throw new Malformed(`${this.what}.${field}`, `at most ${MAX_BLOCK_WEIGHT} are allowed, not ${number}`);
    return Number(number);
  }

  finish() {
    if (this.at < this.data.length) throw new Malformed(this.what, `${this.data.length - this.at} bytes follow its end`);
  }
}

/** A block's header (80 bytes): { merkleRoot, timeS, bits, hash }. */
export async function readHeader(data, what = "header") {
  const reader = new Reader(data, what);
  reader.take(4 + HASH_BYTES); // version, and the block before
  const merkleRoot = reader.take(HASH_BYTES), timeS = reader.number(4), bits = reader.number(4);
  reader.take(4); // nonce
  reader.finish();
  return { merkleRoot, timeS, bits, hash: await doubleSha256(data) };
}

const spelt = (bits) => `0x${bits.toString(16).padStart(8, "0")}`;

/** The number under which a hash must be, from its compact form. */
function targetOf(bits) {
  const exponent = bits >>> 24, mantissa = BigInt(bits & 0x7fffff);
  const target = exponent > 3 ? mantissa << BigInt(8 * (exponent - 3)) : mantissa >> BigInt(8 * (3 - exponent));
  if (bits & 0x800000 || target <= 0n || target >= 1n << 256n) throw new Malformed("header.bits", `${spelt(bits)} is no target`);
  return target;
}

/** How many hashes a block with this target takes on average, once its hash is under it and it is not too easy for the network. */
export function workOf(header, network) {
  const target = targetOf(header.bits);
  if (target > targetOf(EASIEST_BITS[network])) throw new LinkBroken("proof of work", `the target ${spelt(header.bits)} is too easy for ${network}`);
  if (little(header.hash) > target) throw new LinkBroken("proof of work", `block ${display(header.hash)} is not under its target`);
  return (1n << 256n) / (target + 1n);
}

/** The root that a branch (lowest sibling first) leads to from a transaction's id; null where no tree has it. */
export async function rootByBranch(txid, index, siblings) {
  for (const sibling of siblings) {
    if (index & 1 && same(sibling, txid)) return null; // only the last of an odd level stands beside itself, and that one is on the left
    txid = await doubleSha256(index & 1 ? joined(sibling, txid) : joined(txid, sibling));
    index >>= 1;
  }
  return txid;
}

/** { inputs: [{ spends (hex), script }], outputs: [script] } of a transaction, with witnesses or without (BIP 144). */
export function readTransaction(data, what) {
  const reader = new Reader(data, what);
  reader.take(4);
  let count = reader.compact("inputs");
  const hasWitness = count === 0;
  if (hasWitness) {
    if (reader.number(1) !== 1) throw new Malformed(`${what}.flag`, "1 must follow the marker of a transaction with witnesses");
    count = reader.compact("inputs");
  }
  const inputs = several(count, () => readInput(reader));
  const outputs = several(reader.compact("outputs"), () => readOutput(reader));
  if (hasWitness && !inputs.map(() => readWitness(reader)).some(Boolean)) throw new Malformed(`${what}.witness`, "where it is announced, one input at least has one");
  reader.take(4);
  reader.finish();
  return { inputs, outputs };
}

/** As many as are said, each read before room is made for it: a number that was only claimed costs nothing. */
function several(count, read) {
  const found = [];
  while (found.length < count) found.push(read());
  return found;
}

function readInput(reader) {
  const spends = hex(reader.take(HASH_BYTES + 4)), script = reader.take(reader.compact("script"));
  reader.take(4);
  return { spends, script };
}

function readOutput(reader) {
  reader.take(8);
  return reader.take(reader.compact("script"));
}

function readWitness(reader) {
  return several(reader.compact("witness"), () => reader.take(reader.compact("witness"))).length;
}
