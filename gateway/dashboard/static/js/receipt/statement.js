// One line that somebody signed, alone or among others: a verdict, or a node's result. The signature is a DSSE one over the Merkle root of all
// lines of a message; a receipt shows the envelope, the one line, and the steps from it to that root.

import { LinkBroken, Malformed } from "./errors.js";
import { isSignature, leafHash, walk } from "./hashes.js";
import { readJson } from "./json.js";
import { bytesOf, encode, joined, line, linesOf, quoted, stepsOf, textOf, unhex } from "./text.js";

export const VERDICTS = "application/vnd.ambient.verdicts+merkle";
export const RESULTS = "application/vnd.ambient.results+merkle";
const KEY = /^[0-9a-f]{64}$/;
const MOST_STEPS = 16;

/** { envelope, member, steps, leaf }: `leaf` is what stands in the log. Nothing is verified. */
export function readStatement(field, data) {
  const [envelope, , rest] = line(data), [member, ends, steps] = line(rest);
  if (!envelope.length || !member.length || !ends) throw new Malformed(field, "must be an envelope line and a member line, each with a line break");
  const found = stepsOf(`${field} steps`, linesOf(`${field} steps`, textOf(field, steps)));
  if (found.length > MOST_STEPS) throw new Malformed(`${field} steps`, `are at most ${MOST_STEPS}, these are ${found.length}`);
  return { envelope, member, steps: found, leaf: joined(envelope, encode("\n"), member) };
}

/** The key (64 hex digits) that signed the statement as `payloadType`; `link` is its name where it did not. */
export async function signerOf(statement, payloadType, link) {
  const envelope = readJson(`${link} envelope`, statement.envelope);
  const [said, key, signature] = ["payloadType", "keyid", "sig"].map((name) => String(envelope.get(name) ?? ""));
  if (said !== payloadType) throw new LinkBroken(link, `it is signed as ${quoted(said, 100)}, not as ${quoted(payloadType, 100)}`);
  if (!KEY.test(key)) throw new Malformed(`${link} keyid`, "must be an Ed25519 key in 64 hex digits, lower case");
  const blob = bytesOf(`${link} sig`, signature), root = await walk(await leafHash(statement.member), statement.steps);
  if (!await isSignature(unhex(key), blob, preAuthenticated(payloadType, root))) {
    throw new LinkBroken(link, `the signature is not one of key ${key.slice(0, 16)}… over this line`);
  }
  return key;
}

/** DSSE's pre-authentication encoding: both parts with their lengths. */
const preAuthenticated = (kind, payload) => joined(encode(`DSSEv1 ${encode(kind).length} ${kind} ${payload.length} `), payload);
