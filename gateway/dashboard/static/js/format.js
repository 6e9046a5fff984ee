// Numbers, times and names as people read them. Pure: the same value gives the same text, the clock is passed in.

const locale = "en";
const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
const two = new Intl.NumberFormat(locale, { maximumFractionDigits: 2 });

/** A count with separators. */
export const count = (value) => (Number.isFinite(value) ? whole.format(value) : "–");

/** A count of things that have a plain plural: `several(1, "verdict")`. */
export const several = (value, name) => `${count(value)} ${name}${value === 1 ? "" : "s"}`;

/** About three digits that mean something. */
export function digits(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 100) return whole.format(value);
  if (size >= 10) return one.format(value);
  if (size >= 0.01 || size === 0) return two.format(value);
  return value.toPrecision(2);
}

/** [value, unit], each unit `step` times the one before; a unit is left once a value is `from` of it. */
function scaled(value, units, step, from = step) {
  if (!Number.isFinite(value)) return ["–", ""];
  let at = 0;
  while (Math.abs(value) >= from && at < units.length - 1) {
    value /= step;
    at += 1;
  }
  return [digits(value), units[at]];
}

export const rate = (value) => scaled(value, ["/s", "k/s", "M/s"], 1000, 10_000);
export const bytes = (value) => scaled(value, ["B", "KiB", "MiB", "GiB", "TiB"], 1024);

/** Joules from small to large. */
export function energy(joules) {
  if (!Number.isFinite(joules)) return ["–", ""];
  if (joules !== 0 && Math.abs(joules) < 1) return joules < 0.001 ? [digits(joules * 1e6), "µJ"] : [digits(joules * 1e3), "mJ"];
  return joules < 3.6e6 ? scaled(joules, ["J", "kJ"], 1000, 10_000) : [digits(joules / 3.6e6), "kWh"];
}

/** A span of time given in milliseconds. */
export function span(ms) {
  if (!Number.isFinite(ms)) return ["–", ""];
  if (ms < 1000) return [digits(ms), "ms"];
  if (ms < 120_000) return [digits(ms / 1000), "s"];
  if (ms < 7_200_000) return [digits(ms / 60_000), "min"];
  if (ms < 172_800_000) return [digits(ms / 3_600_000), "h"];
  return [digits(ms / 86_400_000), "days"];
}

/** [value, unit] as one text. */
export const joined = ([value, unit]) => (unit ? `${value}${unit.startsWith("/") || unit.endsWith("/s") ? "" : " "}${unit}` : value);

/** How long ago, in words. */
export function ago(atMs, nowMs) {
  const since = nowMs - atMs;
  if (!atMs || !Number.isFinite(since)) return "–";
  if (since < 1500) return "just now";
  return `${joined(span(Math.round(since / 1000) * 1000))} ago`;
}

const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const day = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium", hour12: false });

/** The time of day, with milliseconds where asked. */
export function time(atMs, millis = false) {
  if (!atMs) return "–";
  return clock.format(atMs) + (millis ? `.${String(Math.floor(atMs % 1000)).padStart(3, "0")}` : "");
}

export const moment = (atMs) => (atMs ? day.format(atMs) : "–");

/** The beginning of a digest or key; the whole belongs in a title or behind a copy button. */
export function short(digest, length = 12) {
  const bare = String(digest ?? "").replace(/^sha256:/, "");
  return bare.length > length ? `${bare.slice(0, length)}…` : bare;
}

/** An amount of the ledger, which counts in thousandths of a satoshi. */
export function msat(amount) {
  if (!Number.isFinite(amount)) return ["–", ""];
  return [amount % 1000 === 0 ? whole.format(amount / 1000) : new Intl.NumberFormat(locale, { maximumFractionDigits: 3 }).format(amount / 1000), "sat"];
}

/** A verification policy as the command line spells it. */
export function policy(verify) {
  if (!verify || verify.kind === "signature") return "signature";
  if (verify.kind === "quorum") return `quorum ${verify.agree} of ${verify.of}`;
  return verify.kind;
}

/** Text out of bytes, or null where they are none. */
export function decoded(data) {
  try {
    const said = new TextDecoder("utf-8", { fatal: true }).decode(data);
    return /[\u0000-\u0008\u000e-\u001f]/.test(said) ? null : said;
  } catch {
    return null;
  }
}

/** The classic view of bytes: offset, hex, characters. */
export function hexdump(data, limit = 1024) {
  const lines = [];
  for (let at = 0; at < Math.min(data.length, limit); at += 16) {
    const part = [...data.subarray(at, at + 16)];
    const hex = part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const plain = part.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : "·")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${hex.padEnd(47)}  ${plain}`);
  }
  if (data.length > limit) lines.push(`… ${count(data.length - limit)} bytes more`);
  return lines.join("\n");
}
