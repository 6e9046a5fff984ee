// Asks for a token.

import { field, h, markWrong } from "../dom.js";
import { remember } from "../session.js";

export function open({ said, onToken }) {
  const input = h("input", { name: "token", type: "password", autocomplete: "current-password", spellcheck: "false", placeholder: "avcp_…" });
  const keep = h("input", { type: "checkbox", id: "f-keep" });
  const form = h("form", { novalidate: true },
    h("h1", {}, "Ambient"),
    h("p.quiet", {}, "This gateway shows a cluster to those with a token. ", h("code", {}, "ambient up"), " prints a link that signs in; ", h("code", {}, "ambient token"), " makes further tokens."),
    said && h("p.problem", { role: "alert" }, said),
    field("Token", input),
    h("div.check-row", {}, keep, h("label", { for: "f-keep" }, "Keep it on this device")),
    h("button.button.main-action", { type: "submit" }, "Sign in"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!input.value.trim()) {
      markWrong(form, { token: "A token is needed to sign in." });
      return;
    }
    remember(input.value, keep.checked);
    onToken();
  });
  return { title: "Sign in", element: h("main.sign-in", {}, form) };
}
