// SHA-256, Ed25519 and Merkle trees (RFC 6962), by the browser's own cryptography.

import { encode, joined, unhex } from "./text.js";

const KNOWN = { // RFC 8032, section 7.1, test 1: an empty message
  key: unhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
  signature: unhex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
};
const ED25519 = "Ed25519";
const SIGNATURE_BYTES = 64;

export const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", joined(...parts)));

/** Whether `signature` is one of the Ed25519 key (32 bytes) over `message`. */
export async function isSignature(key, signature, message) {
  if (signature.length !== SIGNATURE_BYTES) return false;
  let imported;
  try {
    imported = await crypto.subtle.importKey("raw", key, ED25519, false, ["verify"]);
  } catch (error) {
    if (error.name === "DataError") return false; // no point of the curve
    throw error;
  }
  return crypto.subtle.verify(ED25519, imported, signature, message);
}

/** Why this browser cannot check a receipt itself, in words; empty where it can. */
export async function missing() {
  if (!globalThis.isSecureContext || !crypto.subtle) return "this page came over plain HTTP from another machine, where browsers offer no cryptography: use HTTPS, or the loopback address";
  try {
    new DecompressionStream("deflate-raw");
  } catch {
    return "this browser cannot unpack compressed files";
  }
  try {
    if (await isSignature(KNOWN.key, KNOWN.signature, new Uint8Array())) return "";
  } catch {
    // It does not know the name of the scheme.
  }
  return "this browser does not know Ed25519 signatures";
}

export const leafHash = (leaf) => sha256(Uint8Array.of(0), leaf);
export const nodeHash = (left, right) => sha256(Uint8Array.of(1), left, right);

/** Where `steps` lead from the hash `found`. */
export async function walk(found, steps) {
  for (const { isLeft, sibling } of steps) found = isLeft ? await nodeHash(sibling, found) : await nodeHash(found, sibling);
  return found;
}

/** The root to which `path` (lowest sibling first) leads from the leaf hash `found`; null if it is no path in a tree of `size` (RFC 9162, 2.1.3.2). */
export async function rootFromPath(found, index, size, path) {
  if (index >= size) return null;
  let node = index, last = size - 1n;
  for (const sibling of path) {
    if (last === 0n) return null;
    if (node % 2n || node === last) {
      found = await nodeHash(sibling, found);
      while (node % 2n === 0n && node) [node, last] = [node >> 1n, last >> 1n];
    } else {
      found = await nodeHash(found, sibling);
    }
    [node, last] = [node >> 1n, last >> 1n];
  }
  return last === 0n ? found : null;
}

/** What stands for one state of a log in a transaction: SHA-256(domain, origin, LF, size in 8 bytes, root). */
export function commitment(origin, size, root) {
  const eight = new Uint8Array(8);
  new DataView(eight.buffer).setBigUint64(0, size);
  return sha256(encode(`ambient-vcp anchor v1\n${origin}\n`), eight, root);
}

