// Signed notes, checkpoints and cosignatures as C2SP defines them: signed-note, tlog-checkpoint and tlog-cosignature (v1, Ed25519).
//
// Guarantees that a signature counts only for the key that is named and for these very bytes. Which keys to trust is left to whoever reads.

import { LinkBroken, Malformed } from "./errors.js";
import { isSignature, sha256 } from "./hashes.js";
import { LARGEST, base64Of, bytesOf, decimal, encode, hashOf, hex, joined, linesOf, partition, textOf } from "./text.js";

export const ED25519 = 1;
export const COSIGNATURE = 4;
const SIGNATURE_BYTES = { [ED25519]: 64, [COSIGNATURE]: 72 };
const DASH = "\u2014 ";
const ID_BYTES = 4, KEY_BYTES = 32, TIME_BYTES = 8, MOST_SIGNATURES = 64, MOST_KEYS = 64, MOST_NAME = 255;
/** White space as the command line counts it. */
const SPACE = /[\t-\r\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;

function nameOf(field, name) {
  if (!name || [...name].length > MOST_NAME || name.includes("+") || SPACE.test(name)) {
    throw new Malformed(field, `a name has 1 to ${MOST_NAME} characters, none of them a space or a plus sign`);
  }
  return name;
}

/** A `vkey`: { name, kind, bytes, id (hex), text }. */
async function readKey(text, field) {
  const [name, , rest] = partition(text, "+"), data = bytesOf(field, partition(rest, "+")[2]);
  if (data.length !== 1 + KEY_BYTES || !(data[0] in SIGNATURE_BYTES)) {
    throw new Malformed(field, "must be a vkey of an Ed25519 key (type 1) or an Ed25519 cosigner (type 4)");
  }
  const id = hex((await sha256(encode(`${nameOf(field, name)}\n`), data)).subarray(0, ID_BYTES));
  if (text !== `${name}+${id}+${base64Of(data)}`) throw new Malformed(field, "must be a vkey whose id is that of its name and key");
  return { name, kind: data[0], bytes: data.subarray(1), id, text };
}

/** Vkeys, one a line. */
export function readKeys(data) {
  const lines = linesOf("keys", textOf("keys", data));
  if (!lines.length || lines.length > MOST_KEYS || new Set(lines).size !== lines.length) throw new Malformed("keys", `are 1 to ${MOST_KEYS} different vkeys`);
  return Promise.all(lines.map((line, at) => readKey(line, `keys[${at}]`)));
}

/** A signed note: { text, signatures: [{ name, id, bytes }] }. Nothing is verified. */
export function readNote(data, field) {
  const whole = textOf(field, data), at = whole.lastIndexOf("\n\n");
  const lines = linesOf(field, whole.slice(at < 0 ? 0 : at + 2));
  if (at < 0 || !lines.length || lines.length > MOST_SIGNATURES) throw new Malformed(field, `must be text, an empty line, and 1 to ${MOST_SIGNATURES} signature lines`);
  return { text: `${whole.slice(0, at)}\n`, signatures: lines.map((line, number) => signature(`${field} signature ${number}`, line)) };
}

function signature(field, line) {
  const [name, , blob] = partition(line.startsWith(DASH) ? line.slice(DASH.length) : line, " "), data = bytesOf(field, blob);
  if (!line.startsWith(DASH) || data.length <= ID_BYTES) throw new Malformed(field, "must be an em dash, a space, a key's name, a space, and base64");
  return { name: nameOf(field, name), id: hex(data.subarray(0, ID_BYTES)), bytes: data.subarray(ID_BYTES) };
}

/** The state of a log that a note's text tells: three lines and no more. */
export function readCheckpoint(text) {
  const lines = linesOf("checkpoint", text);
  if (lines.length !== 3) throw new Malformed("checkpoint", "must have three lines: origin, size and root");
  return { origin: lines[0], size: decimal("checkpoint size", lines[1]), root: hashOf("checkpoint root", lines[2]) };
}

/** The time in a signature of `key` over `text` (0 for one without), or null where it is none. */
async function timeSigned(key, text, bytes) {
  if (bytes.length !== SIGNATURE_BYTES[key.kind]) return null;
  if (key.kind === ED25519) return (await isSignature(key.bytes, bytes, encode(text))) ? 0n : null;
  const timeS = new DataView(bytes.buffer, bytes.byteOffset, TIME_BYTES).getBigUint64(0);
  const holds = await isSignature(key.bytes, bytes.subarray(TIME_BYTES), joined(encode(`cosignature/v1\ntime ${timeS}\n`), encode(text)));
  return holds && timeS <= LARGEST ? timeS : null;
}

/** Those among `keys` that signed (as vkeys), each with the time that it says. Signatures of others are passed over, as C2SP demands. */
export async function signersOf(note, keys) {
  const known = new Map(keys.map((key) => [`${key.name} ${key.id}`, key])), signed = new Map();
  for (const { name, id, bytes } of note.signatures) {
    const key = known.get(`${name} ${id}`);
    if (!key) continue;
    const timeS = await timeSigned(key, note.text, bytes);
    if (timeS === null) throw new LinkBroken(`signature of ${key.name}`, "it is not one of that key over this checkpoint");
    signed.set(key.text, timeS);
  }
  return signed;
}
