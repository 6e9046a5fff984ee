// What happens in the cluster, as it happens: one event stream for all pages, and what it was told last.
//
// Guarantees that a listener hears each log entry once and in order, however often the stream was cut, and says so: `missed` counts entries that were cut
// from a log before they could be sent (`gap`), `skipped` the numbers that were passed over, as for entries without a line. Left to others: what an event means.

import { api } from "./api.js";
import { NodeColumns } from "./nodes-store.js";
import { Feed } from "./sse.js";

const LATEST = 300;
/** Seconds of rates and latency that are kept. */
export const HISTORY_S = 300;
const ASKED_S = 120;

export class Live {
  constructor() {
    this.state = "connecting";
    this.detail = null;
    this.stats = null;
    this.nodes = new NodeColumns();
    this.latest = [];
    this.entries = 0;
    this.missed = 0;
    this.skipped = 0;
    this.reconnects = 0;
    this.positions = {};
    this.history = [];
    this._listeners = new Map();
    this._asking = false;
  }

  start() {
    this._feed = new Feed({
      open: async (lastId, signal) => api.events(lastId, signal),
      onEvent: (event) => this._event(event),
      onState: (state, detail) => this._state(state, detail),
    }).start();
    this.refreshNodes();
    this._askHistory();
    return this;
  }

  stop() {
    this._feed?.stop();
  }

  retryNow() {
    this._feed?.retryNow();
  }

  /** Listen to `stats`, `nodes`, `log` or `state`; returns what ends it. */
  on(type, listener) {
    if (!this._listeners.has(type)) this._listeners.set(type, new Set());
    this._listeners.get(type).add(listener);
    return () => this._listeners.get(type).delete(listener);
  }

  /** Ask for all nodes: at the start, and when rows are told of that are not known. */
  async refreshNodes() {
    if (this._asking) return;
    this._asking = true;
    try {
      this.nodes.replace(await api.board());
      this.nodesProblem = null;
      this._tell("nodes");
    } catch (error) {
      this.nodesProblem = error;
      this._tell("nodes");
      setTimeout(() => this.refreshNodes(), 2000);
    } finally {
      this._asking = false;
    }
  }

  _tell(type, value) {
    for (const listener of this._listeners.get(type) ?? []) listener(value);
  }

  _state(state, detail) {
    if (state === "live" && this.state === "lost") this.reconnects += 1;
    // While it waits and asks again it is lost, until something arrives.
    if (state === "connecting" && this.state === "lost") return;
    this.state = state;
    this.detail = detail ?? null;
    this._tell("state", state);
  }

  _event({ type, data }) {
    const body = JSON.parse(data);
    if (type === "log") this._log(body);
    else if (type === "stats") this._stats(body);
    else if (type === "board") this._board(body);
    else if (type === "gap") this.missed += body.to - body.from + 1;
  }

  _log(event) {
    const before = this.positions[event.log];
    if (before !== undefined && event.sequence <= before) return;
    if (before !== undefined && event.sequence > before + 1) this.skipped += event.sequence - before - 1;
    this.positions[event.log] = event.sequence;
    this.entries += 1;
    this.latest.push(event);
    if (this.latest.length > LATEST) this.latest.splice(0, this.latest.length - LATEST);
    this._tell("log", event);
  }

  _stats(stats) {
    this.stats = stats;
    this._remember(stats);
    this._tell("stats", stats);
  }

  /** Each whole second once, in order: a moment's figures bring the last few, so that one that came late leaves no hole. */
  _remember(stats) {
    const end = Math.floor(stats.at_ms / 1000), newest = this.history.at(-1)?.at_s ?? 0;
    stats.history.forEach((rates, at) => {
      const second = end - stats.history.length + at;
      if (second > newest) this.history.push({ at_s: second, rates });
    });
    if (this.history.length > HISTORY_S) this.history.splice(0, this.history.length - HISTORY_S);
  }

  async _askHistory() {
    try {
      const stats = await api.stats(ASKED_S);
      this.history = [];
      this._stats(stats);
    } catch (error) {
      this.statsProblem = error;
    }
  }

  _board(board) {
    if (this.nodes.apply(board)) this._tell("nodes");
    else this.refreshNodes();
  }
}

/** Call `work` at most once every `ms`, and once after the last ask. */
export function throttled(work, ms) {
  let timer = 0, last = -Infinity;
  const run = () => {
    timer = 0;
    last = performance.now();
    work();
  };
  const ask = () => {
    if (!timer) timer = setTimeout(run, Math.max(0, ms - (performance.now() - last)));
  };
  ask.cancel = () => clearTimeout(timer);
  return ask;
}
