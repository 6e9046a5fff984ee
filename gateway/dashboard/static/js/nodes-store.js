// All nodes in columns, as the gateway sends them: ten thousand rows cost no objects, and a board a second costs next to nothing.
//
// A row is the same node for as long as the board's `shape` is the same; after another shape, or with more rows, the names are asked for anew.

import { NODE_STATES } from "./states.js";

const LATENCY_TENTHS = 10;
const SILENT_TENTHS = 10;
const SCORE = 10_000;
const FREE = 200;
const LITTLE = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Bytes out of base64. */
function bytes(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Little-endian numbers of two bytes. */
function words(text) {
  const raw = bytes(text);
  if (LITTLE && raw.byteOffset % 2 === 0) return new Uint16Array(raw.buffer, raw.byteOffset, raw.length / 2);
  return Uint16Array.from({ length: raw.length / 2 }, (_, at) => raw[2 * at] | (raw[2 * at + 1] << 8));
}

export class NodeColumns {
  constructor() {
    this.length = 0;
    this.names = [];
    this.state = new Uint8Array(0);
    this.counts = new Uint32Array(NODE_STATES.length);
    this.shape = 0;
    this._of = "";
    this._rows = new Map();
    for (const column of ["_score", "open", "_cpu", "_memory", "_latency", "_silent"]) this[column] = new Uint16Array(0);
  }

  /** Names and board at once. */
  replace(board) {
    this.names = board.names;
    this._rows = new Map(board.names.map((name, row) => [name, row]));
    this._of = board.shape;
    this.length = board.total;
    this._take(board);
    this.shape += 1;
  }

  /** The next board; false where its rows are not those that are known: ask for all. */
  apply(board) {
    if (board.shape !== this._of || board.total !== this.length) return false;
    this._take(board);
    return true;
  }

  _take(board) {
    this.state = bytes(board.state);
    this._score = words(board.score);
    this.open = words(board.open);
    this._cpu = bytes(board.cpu_free);
    this._memory = bytes(board.memory_free);
    this._latency = words(board.latency);
    this._silent = words(board.silent);
    this.counts.fill(0);
    for (const each of this.state) this.counts[each] += 1;
  }

  // Single values, in the units that their names say

  score(row) {
    return this._score[row] / SCORE;
  }

  cpuUsed(row) {
    return 1 - this._cpu[row] / FREE;
  }

  memoryUsed(row) {
    return 1 - this._memory[row] / FREE;
  }

  latencyMs(row) {
    return this._latency[row] / LATENCY_TENTHS;
  }

  silentS(row) {
    return this._silent[row] / SILENT_TENTHS;
  }

  stateName(row) {
    return NODE_STATES[this.state[row]];
  }

  row(name) {
    return this._rows.get(name) ?? -1;
  }

  /** The row numbers that match, in the wanted order. `key` is one of `KEYS`. */
  view({ search = "", state = "", key = "node", descending = false }) {
    const wanted = state ? NODE_STATES.indexOf(state) : -1, needle = search.trim().toLowerCase();
    const rows = [];
    for (let row = 0; row < this.length; row += 1) {
      if (wanted >= 0 && this.state[row] !== wanted) continue;
      if (needle && !this.names[row].toLowerCase().includes(needle)) continue;
      rows.push(row);
    }
    const sign = descending ? -1 : 1;
    if (key === "node") return rows.sort((one, other) => sign * names.compare(this.names[one], this.names[other]));
    const column = this[KEYS[key]], way = key === "cpu" || key === "memory" ? -sign : sign;
    return rows.sort((one, other) => way * (column[one] - column[other]) || one - other);
  }
}

/** What a table may be sorted by. CPU and memory are kept as what is free, and shown as what is used. */
const KEYS = { state: "state", score: "_score", open: "open", cpu: "_cpu", memory: "_memory", latency: "_latency", silent: "_silent" };

const names = new Intl.Collator("en", { numeric: true });
