// The tasks, newest first, with a search that the gateway answers.

import { Problem } from "../api.js";
import { field, fill, h, markWrong, refill, text } from "../dom.js";
import * as say from "../format.js";
import { throttled } from "../live.js";
import { blank, bones, panel, trouble } from "../parts.js";
import { nodeLinks, taskLink } from "../sentences.js";
import { taskState } from "../states.js";

const STATES = ["waiting", "assigned", "verified", "failed", "cancelled", "expired", "refused"];
const FILTERS = [["client", "Client", "who submitted it"], ["node", "Node", "who was given it, or agreed"], ["module", "Module", "how its digest begins"], ["prefix", "Id", "how it begins"]];
const PAGE = 50;
const EVERY_MS = 1000;

export function open({ live, api, query, go }) {
  const wanted = { search: query.get("q") ?? "", state: STATES.includes(query.get("state")) ? query.get("state") : "" };
  for (const [name] of FILTERS) wanted[name] = query.get(name) ?? "";
  const isNarrowed = () => Object.values(wanted).some(Boolean);
  const search = h("input", { name: "search", type: "search", value: wanted.search, placeholder: "part of a name" });
  const state = h("select", { name: "state" }, h("option", { value: "" }, "all states"), STATES.map((each) => h("option", { value: each, selected: each === wanted.state }, each)));
  const filters = FILTERS.map(([name, label, hint]) => {
    const control = h("input", { name, value: wanted[name], autocomplete: "off", spellcheck: "false" });
    control.addEventListener("input", () => {
      wanted[name] = control.value.trim();
      findSoon();
    });
    return field(label, control, { hint });
  });
  const body = h("div", {}, bones(8)), note = h("span.quiet", { role: "status" }, "");
  const more = h("button.button", { type: "button", hidden: true }, "Older tasks");
  const form = h("form.stack", { role: "search", "aria-label": "Find tasks", novalidate: true },
    h("div.tools", {}, h("div.grow", {}, field("Find", search)), field("State", state), note),
    h("details", { open: FILTERS.some(([name]) => wanted[name]) }, h("summary", {}, "More filters"), h("div.form-row", {}, filters)));
  const element = h("div.page", {},
    h("div.page-head", {}, h("h1", {}, "Tasks"), h("a.button.main-action", { href: "/tasks/new" }, "Submit a task")),
    form,
    h("section.panel", { "aria-label": "Tasks" }, body, h("p", {}, more)));
  let older = [], next = "", asking = null, closed = false, refused = false;

  async function update() {
    asking?.abort();
    asking = new AbortController();
    try {
      const page = await api.tasks({ ...wanted, limit: PAGE }, asking.signal);
      if (closed) return;
      refused = false;
      markWrong(form, {});
      if (!older.length) next = page.next;
      const seen = new Set(page.tasks.map((each) => each.task));
      show([...page.tasks, ...older.filter((each) => !seen.has(each.task))], page);
    } catch (error) {
      if (error.name === "AbortError" || closed) return;
      if (error instanceof Problem && error.field && markWrong(form, { [error.field]: error.limit || error.message })) {
        refused = true;
        return;
      }
      if (!body.querySelector("table")) fill(body, trouble(error, update));
    }
  }

  function show(tasks, page) {
    text(note, isNarrowed() ? `${say.count(tasks.length)}${next ? " or more" : ""} found` : page.kept ? `${say.count(page.kept)} remembered` : "");
    more.hidden = !next;
    if (!tasks.length) {
      fill(body, isNarrowed()
        ? blank("Nothing found", "No task that this gateway remembers fits. The logs may hold older ones: open a task by its whole name.")
        : blank("No task yet", "A task is a WebAssembly module and its input. It comes back with a verdict and the evidence for it.", h("p", {}, h("a.button.main-action", { href: "/tasks/new" }, "Submit the first one"))));
      return;
    }
    const rows = tasks.map(row);
    const there = body.querySelector("tbody");
    if (there) refill(there, rows);
    else fill(body, h("div.scroll-x", { tabindex: "0", role: "region", "aria-label": "Tasks, table" }, h("table.tasks-list", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Task"), h("th", { scope: "col" }, "State"), h("th", { scope: "col" }, "Asked"), h("th.number", { scope: "col" }, "Took"), h("th.wide-only", { scope: "col" }, "Nodes"), h("th.wide-only", { scope: "col" }, "Module"))),
      h("tbody", {}, rows))));
  }

  function find() {
    older = [];
    const address = new URLSearchParams();
    if (wanted.search) address.set("q", wanted.search);
    for (const [name, value] of Object.entries(wanted)) if (value && name !== "search") address.set(name, value);
    history.replaceState(null, "", `/tasks${address.size ? `?${address}` : ""}`);
    update();
  }
  const findSoon = throttled(find, 200), soon = throttled(update, EVERY_MS);
  search.addEventListener("input", () => {
    wanted.search = search.value.trim();
    findSoon();
  });
  state.addEventListener("change", () => {
    wanted.state = state.value;
    find();
  });
  element.addEventListener("submit", (event) => {
    event.preventDefault();
    // A whole name opens its task, also where the gateway has forgotten it and only the logs have not.
    if (/^[\w-]+\.[\w-]+$/.test(wanted.search)) go(`/tasks/${encodeURIComponent(wanted.search)}`);
  });
  more.addEventListener("click", async () => {
    const page = await api.tasks({ ...wanted, limit: PAGE, cursor: next });
    older.push(...page.tasks);
    next = page.next;
    update();
  });
  const end = live.on("log", (event) => {
    // What was refused is refused again, and would take the focus each time.
    if (event.log !== "anchors" && !refused) soon();
  });
  update();
  return {
    title: "Tasks",
    element,
    close() {
      closed = true;
      end();
      soon.cancel();
      findSoon.cancel();
      asking?.abort();
    },
  };
}

function row(each) {
  return h("tr", {}, h("td", {}, taskLink(each.task)), h("td", {}, taskState(each.state), each.reason && h("span.faint", {}, ` ${each.reason}`)),
    h("td.time", {}, say.time(each.asked_ms, true)),
    h("td.number", {}, each.ended_ms && each.asked_ms ? say.joined(say.span(each.ended_ms - each.asked_ms)) : h("span.faint", {}, "open")),
    h("td.wide-only", {}, nodeLinks(each.nodes, 3)),
    h("td.wide-only.faint", { title: each.module }, each.module ? h("code", {}, say.short(each.module, 10)) : "", each.entry && each.entry !== "_start" ? ` ${each.entry}` : ""));
}
