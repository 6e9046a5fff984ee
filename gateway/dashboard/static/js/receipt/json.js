// JSON as a receipt's check reads it: whole numbers stay exact, and a name that stands twice in an object is refused, since readers would
// disagree which one counts. `JSON.parse` gives neither.
//
// Objects become Maps (names in their order), whole numbers BigInt, other numbers Number.

import { Malformed } from "./errors.js";
import { decoded } from "./text.js";

const SPACE = /[ \t\n\r]*/y;
const STRING = /"[^"\\\u0000-\u001f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\u0000-\u001f]*)*"/y;
const NUMBER = /(-?(?:0|[1-9][0-9]*))((?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)/y;
const WORDS = { true: true, false: false, null: null };
const WORD = /true|false|null/y;
const DEEPEST = 200;
/** As many digits as the command line reads. */
const MOST_DIGITS = 4300;

class NotJson extends Error {}

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  /** What `pattern` finds here; null where it does not. */
  take(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found) this.at = pattern.lastIndex;
    return found;
  }

  /** Whether the next character that is no space is this one; then it is behind us. */
  next(character) {
    this.take(SPACE);
    if (this.text[this.at] !== character) return false;
    this.at += 1;
    return true;
  }

  string() {
    this.take(SPACE);
    const found = this.take(STRING);
    if (!found) throw new NotJson();
    return JSON.parse(found[0]);
  }

  value(depth = 0) {
    if (depth > DEEPEST) throw new NotJson();
    if (this.next("{")) return this.object(depth);
    if (this.next("[")) return this.array(depth);
    if (this.text[this.at] === '"') return this.string();
    const word = this.take(WORD);
    if (word) return WORDS[word[0]];
    const number = this.take(NUMBER);
    if (!number) throw new NotJson();
    if (number[2]) return Number(number[0]);
    if (number[1].length > MOST_DIGITS) throw new NotJson();
    return BigInt(number[1]);
  }

  object(depth) {
    const found = new Map();
    if (this.next("}")) return found;
    do {
      const name = this.string();
      if (found.has(name)) throw new NotJson(name);
      if (!this.next(":")) throw new NotJson();
      found.set(name, this.value(depth + 1));
    } while (this.next(","));
    if (!this.next("}")) throw new NotJson();
    return found;
  }

  array(depth) {
    const found = [];
    if (this.next("]")) return found;
    do found.push(this.value(depth + 1)); while (this.next(","));
    if (!this.next("]")) throw new NotJson();
    return found;
  }

  whole() {
    const found = this.value();
    this.take(SPACE);
    if (this.at < this.text.length) throw new NotJson();
    return found;
  }
}

/** The JSON object in these bytes, as a Map. */
export function readJson(field, data) {
  let found = null;
  try {
    found = new Reader(decoded(data) ?? "").whole();
  } catch (error) {
    if (!(error instanceof NotJson)) throw error;
    if (error.message) throw new Malformed(field, "must not hold one name twice");
  }
  if (!(found instanceof Map)) throw new Malformed(field, "must be one JSON object in UTF-8");
  return found;
}

/** Whether two values are the same: numbers by what they count, whatever they are written as. */
export function equal(one, other) {
  if (Array.isArray(one)) return Array.isArray(other) && one.length === other.length && one.every((each, at) => equal(each, other[at]));
  if (one instanceof Map) return other instanceof Map && one.size === other.size && [...one].every(([name, each]) => other.has(name) && equal(each, other.get(name)));
  if (isNumber(one) && isNumber(other)) return one == other; // loosely: 1, 1.0 and true are the same in the command line's check
  return one === other;
}

const isNumber = (value) => ["bigint", "number", "boolean"].includes(typeof value);

/** Whether a value says nothing: absent, null, false, zero, or without content. */
export const isBlank = (value) => !value || (Array.isArray(value) && !value.length) || (value instanceof Map && !value.size);

/** Maps as objects, for whoever shows or compares them. */
export function plain(value) {
  if (Array.isArray(value)) return value.map(plain);
  return value instanceof Map ? Object.fromEntries([...value].map(([name, each]) => [name, plain(each)])) : value;
}
