// The states that nodes and tasks can be in: the tone of each, and the words that explain it.

import { h } from "./dom.js";

export const NODE_STATES = ["healthy", "safe", "draining", "suspect", "dead", "left"];

const NODE_TONES = { healthy: "good", safe: "warn", draining: "busy", suspect: "alarm", dead: "bad", left: "gone" };
const NODE_WORDS = {
  healthy: "takes work",
  safe: "protects itself: no work until it has recovered",
  draining: "finishes what it has, takes no more",
  suspect: "missed three heartbeats",
  dead: "silent for ten seconds: its work was given to others",
  left: "said goodbye",
};
const TASK_TONES = {
  waiting: "busy", assigned: "busy", verified: "good", failed: "bad", cancelled: "gone", expired: "warn", refused: "bad", unknown: "gone",
};

export const nodeTone = (state) => NODE_TONES[state] ?? "gone";
export const nodeWords = (state) => NODE_WORDS[state] ?? "";
export const taskTone = (state) => TASK_TONES[state] ?? "gone";

export const nodeState = (state) => h(`span.state.${nodeTone(state)}`, { title: nodeWords(state) }, state);
export const taskState = (state) => h(`span.state.${taskTone(state)}`, {}, state);

/** Change a state badge in place. */
export function setState(element, state, tone) {
  if (element.textContent === state) return;
  element.textContent = state;
  element.className = `state ${tone}`;
}

export const isFinished = (state) => !["waiting", "assigned", "unknown"].includes(state);
