// Server-sent events over fetch: EventSource cannot send an Authorization header, and a token in a URL ends up in logs.
//
// `Parser` follows "9.2.6 Interpreting an event stream" of the HTML standard. `Feed` keeps one stream open for ever: it resumes with
// Last-Event-ID, so that what the server numbers is seen once and nothing is missed, and waits longer after each failure, with jitter.

export class Parser {
  constructor() {
    this.lastId = "";
    this._rest = "";
    this._data = [];
    this._type = "";
    this._id = null;
    this._afterCr = false;
    this.retryMs = null;
  }

  /** The events that `chunk` completes, as { type, data, id }. */
  feed(chunk) {
    const events = [];
    if (this._afterCr && chunk.startsWith("\n")) chunk = chunk.slice(1);
    if (chunk) this._afterCr = chunk.endsWith("\r");
    const lines = (this._rest + chunk).split(/\r\n|\n|\r/);
    this._rest = lines.pop();
    for (const line of lines) {
      if (line === "") this._dispatch(events);
      else this._line(line);
    }
    return events;
  }

  _line(line) {
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    let value = colon < 0 ? "" : line.slice(colon + 1);
    if (value.startsWith(" ")) value = value.slice(1);
    if (name === "data") this._data.push(value);
    else if (name === "event") this._type = value;
    else if (name === "id" && !value.includes("\0")) this._id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.retryMs = Number(value);
  }

  _dispatch(events) {
    if (this._id !== null) this.lastId = this._id;
    if (this._data.length) events.push({ type: this._type || "message", data: this._data.join("\n"), id: this.lastId });
    this._data = [];
    this._type = "";
  }
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;
/** The server sends something at least every 15 s; silence for longer is a connection that died without a word. */
const SILENCE_MS = 40_000;

/** How long to wait before try number `failures`, 1 the first: doubling, capped, spread over half of it. */
export function waitMs(failures, random = Math.random()) {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (failures - 1)) * (0.5 + random / 2);
}

export class Feed {
  /** `open(lastId, signal)` makes the request; `onEvent(event)` and `onState(state, detail)` are told of what happens. */
  constructor({ open, onEvent, onState }) {
    this._open = open;
    this._onEvent = onEvent;
    this._onState = onState;
    this._stopped = false;
    this._control = new AbortController();
    this._wake = () => {};
    this.lastId = "";
  }

  start() {
    this._run();
    addEventListener("online", () => this.retryNow());
    return this;
  }

  stop() {
    this._stopped = true;
    this._control.abort();
    this._wake();
  }

  /** Try again at once, if it waits. */
  retryNow() {
    this._wake();
  }

  async _run() {
    let failures = 0;
    while (!this._stopped) {
      this._control = new AbortController();
      try {
        this._onState("connecting");
        const response = await this._open(this.lastId, this._control.signal);
        this._onState("live");
        await this._read(response.body, () => { failures = 0; });
        failures += 1;
      } catch (error) {
        if (this._stopped) return;
        failures += 1;
        if (error?.status === 401 || error?.status === 403) {
          this._onState("refused", error);
          return;
        }
      }
      if (this._stopped) return;
      const wait = waitMs(Math.max(1, failures));
      this._onState("lost", { wait });
      await new Promise((resolve) => {
        this._wake = resolve;
        setTimeout(resolve, wait);
      });
    }
  }

  async _read(body, onFirst) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    const parser = new Parser();
    parser.lastId = this.lastId;
    let watchdog = 0;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => this._control.abort(), SILENCE_MS);
    };
    try {
      for (;;) {
        alive();
        const { done, value } = await reader.read();
        if (done) return;
        onFirst();
        for (const event of parser.feed(value)) {
          this.lastId = event.id;
          this._onEvent(event);
        }
        this.lastId = parser.lastId;
      }
    } finally {
      clearTimeout(watchdog);
    }
  }
}
