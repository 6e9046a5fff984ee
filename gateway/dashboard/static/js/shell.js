// The frame: navigation, the state of the connection, the theme, and the live region through which pages speak to screen readers.

import { fill, h, s, text } from "./dom.js";
import { count } from "./format.js";
import { throttled } from "./live.js";

const ICONS = {
  overview: "M2 9h3l2-6 3 10 2-4h2",
  nodes: "M2.5 2.5h4v4h-4zM9.5 2.5h4v4h-4zM2.5 9.5h4v4h-4zM9.5 9.5h4v4h-4z",
  tasks: "M2 4l1.5 1.5L6 3M2 10.5L3.5 12 6 9.5M8.5 4.5H14M8.5 11H14",
  anchor: "M8 5v9M8 5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3M5 7.5h6M2.5 9c0 3.5 2.5 5 5.5 5s5.5-1.5 5.5-5",
  ledger: "M3 2.5h10v11H3zM5.5 5.5h5M5.5 8h5M5.5 10.5h3",
  join: "M8 3v10M3 8h10",
};

export const PLACES = [
  ["/", "Overview", "overview"],
  ["/nodes", "Nodes", "nodes"],
  ["/tasks", "Tasks", "tasks"],
  ["/anchor", "Anchor", "anchor"],
  ["/ledger", "Ledger", "ledger"],
  ["/join", "Join", "join"],
];

const icon = (name) => s("svg", { viewBox: "0 0 16 16", fill: "none", stroke: "currentColor", "stroke-width": "1.4", "stroke-linejoin": "round", "stroke-linecap": "round", "aria-hidden": "true" },
  s("path", { d: ICONS[name] }));

const mark = () => s("svg", { viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": "1.8", "aria-hidden": "true" },
  s("circle", { cx: 12, cy: 12, r: 9.5 }), s("circle", { cx: 12, cy: 12, r: 5 }), s("circle", { cx: 12, cy: 12, r: 1.6, fill: "currentColor", stroke: "none" }));

export class Shell {
  constructor({ live, onSignOut, who }) {
    this._live = live;
    this._status = h("div.link-state", { "data-state": "connecting" }, "Connecting…");
    this._said = h("div.hidden-visually", { role: "status", "aria-live": "polite" });
    this._cluster = h("small", {}, "");
    this.main = h("main.main", { id: "main", tabindex: "-1" });
    const links = PLACES.map(([href, name, sign]) => h("a", { href }, icon(sign), name));
    this._links = links;
    this.element = h("div.frame", {},
      h("header.rail", {},
        h("a.brand", { href: "/", "aria-label": "Ambient VCP, overview" }, mark(), h("span", {}, "Ambient", this._cluster)),
        h("nav.nav", { "aria-label": "Pages" }, h("ul", {}, links.map((link) => h("li", {}, link)))),
        h("div.foot", {}, this._status, h("div.foot-row", {}, themeSwitch(),
          h("button.button.plain", { type: "button", onclick: onSignOut, title: who ? `${who.name}, ${who.role}` : "" }, "Sign out")))),
      this.main, this._said);
    live.on("state", () => this._connection());
    live.on("stats", (stats) => text(this._cluster, stats.cluster));
    // A busy cluster has thousands of entries a second: the eye needs a few updates.
    live.on("log", throttled(() => this._connection(), 200));
  }

  _connection() {
    const { state, entries, missed, skipped, reconnects, positions } = this._live;
    const before = this._status.dataset.state;
    this._status.dataset.state = state;
    this._status.title = `${count(entries)} log entries since this page was opened, ${missed ? count(missed) : "none"} missed, ${count(reconnects)} reconnections`;
    this._status.dataset.entries = entries;
    this._status.dataset.missed = missed;
    this._status.dataset.skipped = skipped;
    this._status.dataset.reconnects = reconnects;
    this._status.dataset.positions = Object.entries(positions).map(([log, at]) => `${log}=${at}`).join(" ");
    const words = { connecting: "Connecting…", live: "Live", lost: "Reconnecting…", refused: "Signed out" }[state];
    text(this._status, words);
    if (before !== state && (state === "lost" || (state === "live" && before === "lost"))) {
      this.announce(state === "lost" ? "Connection lost, trying again" : "Connected again, nothing was missed");
    }
  }

  /** Say something to those who listen rather than look. */
  announce(words) {
    text(this._said, words);
  }

  /** Show a page; the heading is told to screen readers by moving the focus, except on the first one. */
  show(page, path, first) {
    for (const link of this._links) {
      const href = link.getAttribute("href");
      const here = href === "/" ? path === "/" : path === href || path.startsWith(`${href}/`);
      if (here) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    fill(this.main, page.element);
    if (!first) {
      scrollTo(0, 0);
      this.main.focus({ preventScroll: true });
      this.announce(page.title);
    }
  }
}

const THEMES = [["system", "Auto"], ["light", "Light"], ["dark", "Dark"]];

/** One button that goes round: as the system, light, dark. */
function themeSwitch() {
  const root = document.documentElement;
  const button = h("button.button.plain", { type: "button" });
  const show = () => {
    const [, name] = THEMES.find(([key]) => key === root.ambientTheme.get()) ?? THEMES[0];
    text(button, name);
    button.setAttribute("aria-label", `Theme: ${name}`);
  };
  button.addEventListener("click", () => {
    const at = THEMES.findIndex(([key]) => key === root.ambientTheme.get());
    root.ambientTheme.set(THEMES[(at + 1) % THEMES.length][0]);
    show();
  });
  show();
  return button;
}
