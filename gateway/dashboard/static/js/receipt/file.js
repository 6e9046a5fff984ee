// The file that any receipt is: its sections, one after the other, compressed, under a check sum (anchor/RECEIPT.md).

import { DICTIONARY } from "./dictionary.js";
import { Malformed } from "./errors.js";
import { sha256 } from "./hashes.js";
import { decimal, encode, joined, partition, same, textOf } from "./text.js";

const MAGIC = encode("ambient-receipt@v1\n");
const SUM_BYTES = 8;
/** What a receipt may unfold to: it bounds a reader's memory. */
const MAX_BYTES = 16 * 1024 * 1024;
const HEAD_BYTES = 2, CHECK_BYTES = 4;
const PRESET = 0x20;

/** [name, content] of each section, in their order. */
export async function readSections(data) {
  const head = MAGIC.length + SUM_BYTES;
  if (!same(data.subarray(0, MAGIC.length), MAGIC)) throw new Malformed("file", "is no receipt of this version: it must begin with 'ambient-receipt@v1'");
  const packed = data.subarray(head);
  if (!same((await sha256(packed)).subarray(0, SUM_BYTES), data.subarray(MAGIC.length, head))) {
    throw new Malformed("file", "was damaged: its check sum does not hold; get it anew");
  }
  return sections(await unpacked(packed));
}

/** Out of a zlib stream (RFC 1950). */
async function unpacked(packed) {
  const [method, flags] = packed, view = new DataView(packed.buffer, packed.byteOffset, packed.length);
  if (packed.length < HEAD_BYTES + CHECK_BYTES || (method & 0x0f) !== 8 || method >> 4 > 7 || ((method << 8) | flags) % 31) {
    throw new Malformed("file", "cannot be unpacked (it is no zlib stream)");
  }
  const preset = flags & PRESET ? DICTIONARY : new Uint8Array(), begin = HEAD_BYTES + (preset.length && CHECK_BYTES);
  if (preset.length && view.getUint32(HEAD_BYTES) !== adler32(preset)) throw new Malformed("file", "cannot be unpacked (it needs another dictionary)");
  const data = await inflated(preset, packed.subarray(begin, -CHECK_BYTES));
  if (view.getUint32(packed.length - CHECK_BYTES) !== adler32(data)) throw new Malformed("file", "cannot be unpacked (its sum does not hold)");
  return data;
}

/** What is behind `preset`, once that was said. */
async function inflated(preset, deflated) {
  // Browsers take no dictionary. One that is sent first, as a block that is not compressed and not the last (RFC 1951, 3.2.4), is the same to a reader.
  const length = new Uint8Array(5);
  new DataView(length.buffer).setUint16(1, preset.length, true);
  new DataView(length.buffer).setUint16(3, ~preset.length & 0xffff, true);
  const reader = new Blob([length, preset, deflated]).stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  const parts = [];
  let size = 0;
  try {
    for (let read = await reader.read(); !read.done && size <= MAX_BYTES + preset.length; read = await reader.read()) {
      parts.push(read.value);
      size += read.value.length;
    }
  } catch (error) {
    throw new Malformed("file", `cannot be unpacked (${error.message})`);
  }
  if (size > MAX_BYTES + preset.length) {
    reader.cancel();
    throw new Malformed("file", `unfolds to more than ${MAX_BYTES} bytes, ends early, or goes on behind its end`);
  }
  return joined(...parts).subarray(preset.length);
}

function adler32(data) {
  let low = 1, high = 0;
  for (const byte of data) {
    low = (low + byte) % 65521;
    high = (high + low) % 65521;
  }
  return high * 65536 + low;
}

/** A line with the name and the content's length in bytes, then the content. */
function sections(data) {
  const found = [];
  for (let at = 0; at < data.length;) {
    const end = data.indexOf(10, at), [name, , length] = partition(textOf("file", data.subarray(at, end < 0 ? at : end)), " ");
    const size = decimal("length of a section", length);
    if (size > BigInt(data.length - end - 1)) throw new Malformed(name, `is said to have ${size} bytes, and the file ends before`);
    at = end + 1 + Number(size);
    found.push([name, data.subarray(end + 1, at)]);
  }
  return found;
}
