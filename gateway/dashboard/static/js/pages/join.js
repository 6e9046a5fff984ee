// Adding a node: name it, get the command, and see it arrive.

import { field, fill, h, markWrong, text } from "../dom.js";
import { copyable, panel, trouble } from "../parts.js";
import { nodeLink } from "../sentences.js";
import { nodeState } from "../states.js";

export function open({ live, api, who, announce }) {
  const control = (name, attributes = {}) => h("input", { name, autocomplete: "off", spellcheck: "false", ...attributes });
  const id = control("id", { placeholder: "kitchen-pi" }), region = control("region", { placeholder: "eu" }), type = control("node_type", { placeholder: "edge" });
  const slots = control("slots", { type: "number", min: 1, max: 4096, inputmode: "numeric", placeholder: "as many as cores" });
  const send = h("button.button.main-action", { type: "submit" }, "Make a join token"), problem = h("div"), answer = h("div");
  const form = h("form.form", { novalidate: true, "aria-label": "A new node" }, problem, field("Name", id, { hint: "letters, digits, - and _; it belongs to this node's key from then on" }),
    h("div.form-row", {}, field("Region", region), field("Type", type), field("Slots", slots, { hint: "tasks at the same time" })), h("div.buttons", {}, send));
  let wanted = "", end = () => {};

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    fill(problem);
    const order = {};
    for (const [name, input] of Object.entries({ id, region, node_type: type })) if (input.value.trim()) order[name] = input.value.trim();
    if (slots.value) order.slots = Number(slots.value);
    markWrong(form, {});
    send.disabled = true;
    text(send, "Making a key…");
    try {
      show(await api.register(order));
    } catch (error) {
      if (!error.field || !markWrong(form, { [error.field]: error.limit || error.message })) fill(problem, trouble(error));
    } finally {
      send.disabled = false;
      text(send, "Make a join token");
    }
  });

  function show(made) {
    wanted = made.id;
    const arrived = h("p", { role: "status" }, h("span.state.busy", {}, `waiting for ${made.id}`));
    const qr = h("div.qr", {}, h("span.hidden-visually", {}, "QR code is being made"));
    fill(answer, h("ol.steps", {},
      h("li", {}, code("Run this on the machine", made.command, "The command", announce)),
      h("li", {}, h("div.stack", {}, code("or with containers, as compose.yaml", made.compose, "The compose file", announce))),
      h("li", {}, h("div.join-code", {}, h("h3", {}, "or scan it with the device"), qr, h("p.quiet", {}, "It holds the command. Whoever has it is this node: it is shown once, and kept nowhere."))),
      h("li", {}, arrived)));
    api.qr(made.command).then((image) => {
      const url = URL.createObjectURL(image), shown = h("img.qr", { src: url, alt: `QR code of the command that starts ${made.id}`, width: 176, height: 176 });
      shown.addEventListener("load", () => URL.revokeObjectURL(url));
      qr.replaceWith(shown);
    }, (error) => fill(qr, h("p.quiet", {}, error.message)));
    announce(`A join token for ${made.id} is ready`);
    answer.scrollIntoView({ block: "nearest" });
    end();
    end = live.on("nodes", () => {
      const row = live.nodes.row(wanted);
      if (row < 0) return;
      const state = live.nodes.stateName(row);
      if (arrived.dataset.state === state) return;
      arrived.dataset.state = state;
      fill(arrived, nodeState(state), " ", nodeLink(wanted), " is here");
      announce(`${wanted} is here: ${state}`);
    });
  }

  return {
    title: "Join",
    element: h("div.page", {}, h("div.page-head", {}, h("h1", {}, "Add a node"), h("p", {}, "a machine that offers its time to this cluster")),
      h("div.columns", {}, h("div.stack.w-5", {}, panel("The node", { note: null }, who && who.role !== "operator"
        ? h("p.quiet", {}, `Adding nodes takes the role operator; this token is a ${who.role}'s. Ask for one made by `, h("code", {}, "ambient token"), ".") : form)), h("div.w-7", {}, panel("How to start it", { note: null }, answer.childElementCount ? answer : fill(answer, h("p.quiet", {}, "Name the node first. You get a command for a machine with Python, a compose file for one with containers, and a code to scan.")))))),
    close: () => end(),
  };
}

function code(title, content, what, announce) {
  return h("div.join-code", {}, h("div.panel-head", {}, h("h3", {}, title), copyable(content, what, announce)), h("pre", { tabindex: "0", "aria-label": what }, content));
}
