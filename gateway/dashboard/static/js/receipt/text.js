// Numbers, base64 and lines, read in exactly one way: what is spelt differently is not what was written.
//
// Guarantees what `anchor/receipt/text.py` does: two different texts never read as the same value. Numbers are BigInt: a log may have 2^63 leaves.

import { Malformed } from "./errors.js";

export const HASH_BYTES = 32;
export const LARGEST = 2n ** 63n - 1n;
const DECIMAL = /^(?:0|[1-9][0-9]{0,18})$/;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$/;
const CONTROL = /[\u0000-\u0009\u000b-\u001f]/;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

export const encode = (text) => encoder.encode(text);
export const same = (one, other) => one.length === other.length && one.every((byte, at) => byte === other[at]);
export const hex = (data) => Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
/** The bytes that pairs of hexadecimal digits are. */
export const unhex = (digits) => Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
/** A hash of Bitcoin as people write it: reversed. */
export const display = (digest) => hex([...digest].reverse());
export const base64Of = (data) => btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join(""));
/** Text in a message, cut where it is long. */
export const quoted = (value, most = 40) => `'${[...String(value ?? "nothing")].slice(0, most).join("")}'`;

export function joined(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** [before, separator, after] at the first one; without one the whole stands before. */
export function partition(text, separator) {
  const at = text.indexOf(separator);
  return at < 0 ? [text, "", ""] : [text.slice(0, at), separator, text.slice(at + separator.length)];
}

/** The same for bytes, at a line break. */
export function line(data) {
  const at = data.indexOf(10);
  return at < 0 ? [data, false, data.subarray(data.length)] : [data.subarray(0, at), true, data.subarray(at + 1)];
}

/** Text out of UTF-8, or null. */
export function decoded(data) {
  try {
    return utf8.decode(data);
  } catch {
    return null;
  }
}

/** UTF-8 without control characters but line breaks (C2SP signed-note). */
export function textOf(field, data) {
  const text = decoded(data);
  if (text === null) throw new Malformed(field, "must be UTF-8");
  if (CONTROL.test(text)) throw new Malformed(field, "must hold no control character but line breaks");
  return text;
}

/** The lines of a text that ends in a line break, without it; no line is empty. */
export function linesOf(field, text) {
  if (!text) return [];
  if (!text.endsWith("\n")) throw new Malformed(field, "must end in a line break");
  const lines = text.slice(0, -1).split("\n");
  if (!lines.every(Boolean)) throw new Malformed(field, "must hold no empty line");
  return lines;
}

/** An ASCII decimal without leading zeros, below 2^63. */
export function decimal(field, text) {
  if (!DECIMAL.test(text) || BigInt(text) > LARGEST) {
    throw new Malformed(field, `must be a decimal number below 2^63 without leading zeros, not ${quoted(text)}`);
  }
  return BigInt(text);
}

/** Base64 (RFC 4648, section 4) in its one canonical spelling: padded, and unused bits zero. */
export function bytesOf(field, text) {
  if (!BASE64.test(text)) throw new Malformed(field, "must be canonical base64 (RFC 4648, section 4)");
  return Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
}

export function hashOf(field, text) {
  const data = bytesOf(field, text);
  if (data.length !== HASH_BYTES) throw new Malformed(field, `must be ${HASH_BYTES} bytes in base64, these are ${data.length}`);
  return data;
}

/** Steps up a tree: `L` or `R` for the sibling's side, a space, and the sibling in base64. */
export const stepsOf = (field, lines) => lines.map((each, at) => {
  const [side, , sibling] = partition(each, " "), where = `${field}[${at}]`;
  if (side !== "L" && side !== "R") throw new Malformed(where, "must begin with L or R, the side on which the sibling stands");
  return { isLeft: side === "L", sibling: hashOf(where, sibling) };
});
