// Begins: signs in, opens the event stream, and shows the page that the address names.

import { api } from "./api.js";
import { themeChanged } from "./chart.js";
import { fill } from "./dom.js";
import { Live } from "./live.js";
import * as anchor from "./pages/anchor.js";
import * as join from "./pages/join.js";
import * as ledger from "./pages/ledger.js";
import * as missing from "./pages/missing.js";
import * as node from "./pages/node.js";
import * as nodes from "./pages/nodes.js";
import * as overview from "./pages/overview.js";
import * as signIn from "./pages/sign-in.js";
import * as submit from "./pages/submit.js";
import * as task from "./pages/task.js";
import * as tasks from "./pages/tasks.js";
import { trouble } from "./parts.js";
import * as session from "./session.js";
import { Shell } from "./shell.js";

const ROUTES = [
  [/^\/$/, overview],
  [/^\/nodes$/, nodes],
  [/^\/nodes\/([^/]+)$/, node],
  [/^\/tasks$/, tasks],
  [/^\/tasks\/new$/, submit],
  [/^\/tasks\/([^/]+)$/, task],
  [/^\/anchor$/, anchor],
  [/^\/ledger$/, ledger],
  [/^\/join$/, join],
];

let live = null, shell = null, page = null, who = null;

function go(path, { replace = false } = {}) {
  if (replace) history.replaceState(null, "", path);
  else history.pushState(null, "", path);
  show(false);
}

function show(first) {
  const path = location.pathname.replace(/(.)\/$/, "$1");
  const [pattern, module] = ROUTES.find(([each]) => each.test(path)) ?? [null, missing];
  const [, ...params] = pattern ? pattern.exec(path) : [];
  page?.close?.();
  page = null;
  const context = {
    api, live, who, go, params: params.map(decodeURIComponent), query: new URLSearchParams(location.search),
    announce: (words) => shell.announce(words),
  };
  try {
    page = module.open(context);
  } catch (error) {
    console.error(error);
    page = { title: "Failed", element: trouble(error, () => show(false)) };
  }
  document.title = `${page.title} · Ambient`;
  shell.show(page, path, first);
}

/** Links inside the dashboard change the page without loading it anew. */
function onClick(event) {
  const link = event.target.closest?.("a[href]");
  if (!link || link.origin !== location.origin || link.hasAttribute("download") || link.target) return;
  if (event.defaultPrevented || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  if (!ROUTES.some(([pattern]) => pattern.test(link.pathname))) return;
  event.preventDefault();
  go(link.pathname + link.search);
}

function signOut(said) {
  session.forget();
  live?.stop();
  page?.close?.();
  page = live = shell = null;
  askWho(typeof said === "string" ? said : "");
}

function askWho(said = "") {
  const asked = signIn.open({ said, onToken: enter });
  document.title = `${asked.title} · Ambient`;
  fill(document.body, asked.element);
}

/** Go in with the token that is there; ask for one where it does not open. */
async function enter() {
  try {
    who = await api.whoami();
  } catch (error) {
    if (error.status === 401 || error.status === 403) {
      const had = session.current();
      session.forget();
      askWho(had ? "That token is not known here. It may have been revoked." : "");
      return;
    }
    who = null;
  }
  live = new Live();
  shell = new Shell({ live, who, onSignOut: () => signOut() });
  live.on("state", (state) => {
    if (state === "refused") signOut("Your token no longer opens this cluster.");
  });
  const skip = document.createElement("a");
  skip.href = "#main";
  skip.className = "skip";
  skip.textContent = "To the content";
  skip.addEventListener("click", (event) => {
    event.preventDefault();
    shell.main.focus();
  });
  fill(document.body, skip, shell.element);
  live.start();
  show(true);
}

document.documentElement.addEventListener("themechange", themeChanged);
document.addEventListener("click", onClick);
addEventListener("popstate", () => shell && show(false));
session.begin();
if (session.current()) enter();
else askWho();
