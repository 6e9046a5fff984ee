// Submitting a task with a form: a module from disk or one that is there, its input, and how its result is to be verified.

import { fill, field, h, markWrong, text } from "../dom.js";
import * as say from "../format.js";
import { dropZone, facts, panel, trouble } from "../parts.js";

const KNOWN = "sha256:";

export function open({ api, go, announce }) {
  const chosen = { module: "", report: null };
  const problem = h("div", {}), module = h("div.stack", {});
  const entry = h("select", { name: "entry" }, h("option", { value: "_start" }, "_start (a command: reads its input, writes its output)"));
  const args = h("input", { name: "args", placeholder: "10 20", autocomplete: "off", spellcheck: "false" });
  const input = h("textarea", { name: "input", spellcheck: "false", placeholder: "what the guest reads from standard input" });
  const policy = h("select", { name: "verify" }, [["quorum:2/3", "Quorum: 2 of 3 nodes must agree"], ["quorum:3/5", "Quorum: 3 of 5 nodes must agree"], ["signature", "Signature: believe one node"]]
    .map(([value, label]) => h("option", { value }, label)));
  const number = (name, value, attributes) => h("input", { name, type: "number", value, inputmode: "numeric", ...attributes });
  const memory = number("memory_mb", 512, { min: 1, max: 4096 }), wall = number("wall_s", 30, { min: 0.001, step: "any" });
  const priority = number("priority", 4, { min: 0, max: 9 }), reward = number("reward", 0, { min: 0 });
  const id = h("input", { name: "id", autocomplete: "off", spellcheck: "false", placeholder: "chosen for you" });
  const region = h("input", { name: "region", autocomplete: "off", spellcheck: "false", placeholder: "any" });
  const send = h("button.button.main-action", { type: "submit" }, "Submit");
  const form = h("form.form", { novalidate: true, "aria-label": "A new task" },
    problem, h("div.field", { "data-field": "module" }, module, h("input", { type: "hidden", tabindex: "-1" }), h("p.wrong", { hidden: true })),
    h("div.form-row", {}, field("Entry", entry, { hint: "a command, or an exported function" }), field("Arguments", args, { hint: "separated by spaces; numbers for a function" })),
    field("Input", input, { hint: "text; up to 64 KiB travel with the task" }),
    field("How to verify", policy, { hint: "several nodes run it, and their signed results are compared" }),
    h("details", {}, h("summary", {}, "Limits, place and reward"), h("div.form", {},
      h("div.form-row", {}, field("Memory, MiB", memory), field("Time, seconds", wall), field("Priority", priority, { hint: "0 to 9, higher first" })),
      h("div.form-row", {}, field("Name", id, { hint: "the same name with the same task is the same task" }), field("Region", region), field("Reward, msat", reward, { hint: "shared by nodes that agree" })))),
    h("div.buttons", {}, send, h("a.button.plain", { href: "/tasks" }, "Not now")));

  const zone = dropZone({ name: "module-file", label: "WebAssembly module", hint: "drop a .wasm file here, or choose one", accept: ".wasm,application/wasm", onFile: upload });
  const known = h("select", { name: "known-module" }, h("option", { value: "" }, "or one that was used before…"));
  known.addEventListener("change", () => known.value && use(known.value, null));
  const about = h("div", { role: "status" });
  fill(module, zone, h("div.field", { hidden: true }, h("label.hidden-visually", { for: "f-known" }, "A module used before"), known), about);
  known.id = "f-known";
  api.modules().then(({ modules }) => {
    if (!modules.length) return;
    known.append(...modules.slice(0, 20).map((each) => h("option", { value: each.digest }, `${say.short(each.digest, 16)}, ${say.count(each.tasks)} tasks, last ${say.time(each.last_ms)}`)));
    known.parentElement.hidden = false;
  }, () => {});

  async function upload(file) {
    fill(problem);
    fill(about, h("p.quiet", {}, `Uploading ${file.name}…`));
    try {
      const report = await api.upload(await file.arrayBuffer());
      use(report.digest, report, file.name);
    } catch (error) {
      fill(about, trouble(error));
      chosen.module = "";
    }
  }

  function use(digest, report, name = "") {
    chosen.module = report && !report.fit ? "" : digest;
    chosen.report = report;
    markWrong(form, {});
    const functions = report?.functions.filter((each) => each.name !== "_start") ?? [];
    const command = !report || report.functions.some((each) => each.name === "_start");
    fill(entry, command && h("option", { value: "_start" }, "_start (a command: reads its input, writes its output)"), functions.map((each) => h("option", { value: each.name }, `${each.name}${each.type ? ` ${each.type}` : ""}`)));
    if (!report) entry.append(...[]);
    fill(about, report && !report.fit ? h("div.problem", { role: "alert" }, h("strong", {}, "Nodes would refuse this module"), report.problem)
      : h("div.said-good", {}, facts([["Module", `${name ? `${name}, ` : ""}${say.short(digest, 20)}`], ["Size", report && say.joined(say.bytes(report.size))],
        ["Imports", report?.imports.length ? `${say.count(report.imports.length)}, all known` : report ? "none" : ""], ["Functions", functions.map((each) => each.name).slice(0, 6).join(", ")]])));
    announce(report && !report.fit ? report.problem : "Module ready");
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    fill(problem);
    const wrong = {};
    if (!chosen.module) wrong.module = "Choose a module first.";
    if (wall.value && !(Number(wall.value) > 0)) wrong.wall_s = "Must be more than 0.";
    markWrong(form, wrong);
    if (Object.keys(wrong).length) {
      if (wrong.module) form.querySelector("#f-module-file").focus();
      return;
    }
    send.disabled = true;
    text(send, "Submitting…");
    try {
      const submitted = await api.submit(order(), crypto.randomUUID());
      announce("Submitted");
      go(`/tasks/${encodeURIComponent(submitted.task)}`);
    } catch (error) {
      refused(error);
    } finally {
      send.disabled = false;
      text(send, "Submit");
    }
  });

  function refused(error) {
    const names = { "limits.memory_mb": "memory_mb", "limits.wall_ms": "wall_s", "place.region": "region", verify: "verify" };
    const field_ = names[error.field] ?? error.field.replace(/^work\./, "").split(/[.[]/)[0];
    if (!error.field || !markWrong(form, { [field_]: error.limit || error.message })) fill(problem, trouble(error));
  }

  function order() {
    const [kind, numbers] = policy.value.split(":"), [agree, of] = (numbers ?? "").split("/").map(Number);
    const values = args.value.trim() ? args.value.trim().split(/\s+/) : [];
    const made = {
      module: chosen.module.startsWith(KNOWN) ? chosen.module : KNOWN + chosen.module, entry: entry.value, verify: kind === "quorum" ? { kind, agree, of } : { kind },
      args: entry.value === "_start" ? values : values.map((each) => (Number.isFinite(Number(each)) ? Number(each) : each)),
      limits: { memory_mb: Number(memory.value), wall_ms: Math.round(Number(wall.value) * 1000) }, priority: Number(priority.value), reward: Number(reward.value),
    };
    if (input.value) made.input = input.value;
    if (id.value.trim()) made.id = id.value.trim();
    if (region.value.trim()) made.place = { region: region.value.trim() };
    return made;
  }

  return {
    title: "Submit a task",
    element: h("div.page", {}, h("div.page-head", {}, h("div", {}, h("a.crumb", { href: "/tasks" }, "Tasks"), h("h1", {}, "Submit a task"))), h("div.columns", {}, h("div.w-8", {}, h("section.panel", { "aria-label": "New task" }, form)),
      h("div.w-4", {}, panel("What happens then", { note: null }, h("ol.steps", {},
        ["The task is written to a log, synced to disk: from then on it ends in exactly one verdict.", "Nodes run it in a sandbox without files or network, and sign what came out.", "Their claims are compared. A node that lies is outvoted and named.", "The verdict is sealed into a log that cannot be changed unseen, and published."].map((each) => h("li", {}, h("span.quiet", {}, each)))))))),
  };
}
