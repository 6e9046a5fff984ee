// The REST API as this dashboard uses it: every path it knows is here. A refusal becomes a `Problem` that can be shown as it is.

import { current } from "./session.js";

const BASE = "/api/v1";

/** An answer that is no success: RFC 9457, with what the gateway adds (`field`, `limit`, `request`). */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `HTTP ${status}`);
    this.status = status;
    this.title = body.title || (status ? `The gateway answered ${status}` : "The gateway cannot be reached");
    this.field = body.field ?? "";
    this.limit = body.limit ?? "";
    this.request = body.request ?? "";
    this.retryAfterS = body.retryAfterS ?? 0;
  }
}

async function call(path, { method = "GET", query, json, body, type, accept = "application/json", signal, headers = {} } = {}) {
  const url = new URL(BASE + path, location.origin);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== "" && value !== null && value !== undefined) url.searchParams.set(name, String(value));
  }
  const sent = { Authorization: `Bearer ${current()}`, Accept: accept, ...headers };
  if (json !== undefined) {
    body = JSON.stringify(json);
    type = "application/json";
  }
  if (type) sent["Content-Type"] = type;
  let response;
  try {
    response = await fetch(url, { method, headers: sent, body, signal, credentials: "omit", cache: "no-cache" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: "No answer came. It may be starting again: this page tries on by itself." });
  }
  if (!response.ok) throw await problem(response);
  return response;
}

async function problem(response) {
  let body = {};
  try {
    body = await response.json();
  } catch {
    // A proxy in between may answer in HTML.
  }
  return new Problem(response.status, { ...body, retryAfterS: Number(response.headers.get("Retry-After")) || 0 });
}

const get = async (path, query, signal) => (await call(path, { query, signal })).json();
const post = async (path, json, headers) => (await call(path, { method: "POST", json, headers })).json();
const part = encodeURIComponent;

/** A receipt's file, and whether it goes down to a block (`final`) or ends at the log's signature (`signed`). */
async function receiptOf(path, query) {
  const response = await call(path, { query, accept: "application/octet-stream" });
  return { blob: await response.blob(), state: response.headers.get("Ambient-Receipt") };
}

export const api = {
  whoami: () => get("/session"),
  ready: () => get("/health/ready"),
  stats: (seconds) => get("/cluster/stats", { history_s: seconds }),

  board: () => get("/cluster/board"),
  node: (node) => get(`/nodes/${part(node)}`),
  telemetry: (node, since) => get(`/nodes/${part(node)}/telemetry`, { since_ms: since }),
  register: (order) => post("/nodes", order),
  drain: (node) => post(`/nodes/${part(node)}/drain`, {}),
  undrain: (node) => post(`/nodes/${part(node)}/undrain`, {}),

  tasks: (query, signal) => get("/tasks", query, signal),
  task: (task) => get(`/tasks/${part(task)}`),
  why: (task) => get(`/tasks/${part(task)}/why`),
  /** With a name of its own, or a key: the same order sent again is the same task. */
  submit: (order, key) => post("/tasks", order, order.id ? {} : { "Idempotency-Key": key }),
  cancel: async (task) => (await call(`/tasks/${part(task)}`, { method: "DELETE" })).json(),
  output: async (task) => new Uint8Array(await (await call(`/tasks/${part(task)}/output`, { accept: "application/octet-stream" })).arrayBuffer()),
  receipt: async (task) => (await call(`/receipts/${part(task)}`, { accept: "application/octet-stream" })).blob(),

  modules: () => get("/modules"),
  upload: async (bytes) => (await call("/modules", { method: "POST", body: bytes, type: "application/wasm" })).json(),

  anchor: () => get("/anchor"),
  verifyReceipt: async (bytes) => (await call("/receipts/verify", { method: "POST", body: bytes, type: "application/octet-stream" })).json(),

  ledger: () => get("/ledger"),
  balance: (account) => get(`/ledger/${account.split("/").map(part).join("/")}`),
  accountReceipt: (account) => receiptOf(`/ledger/${account.split("/").map(part).join("/")}/receipt`),
  monthReceipt: (account, month) => receiptOf(`/energy/${account.split("/").map(part).join("/")}/receipt`, { month }),
  energyOf: (account) => get(`/energy/${account.split("/").map(part).join("/")}`),
  energy: () => get("/energy"),

  qr: async (text) => (await call("/qr", { method: "POST", json: { text }, accept: "image/svg+xml" })).blob(),

  events: async (lastId, signal) => call("/events", {
    query: { board: true }, signal, accept: "text/event-stream", headers: lastId ? { "Last-Event-ID": lastId } : {},
  }),
};
