// SPDX-License-Identifier: GPL-3.0-or-later
// The configuration in force. Secrets are never sent here.
import {ask} from "../api.js";
import {make} from "../dom.js";
import {table, tag} from "../table.js";

export const title = "Settings";

const COLUMNS = [
  {name: "Key", cell: (one) => [make("code", {text: one.key}), make("div", {class: "narrow small quiet", text: one.doc})]},
  {name: "Value", cell: (one) => value(one)},
  {name: "From", cell: (one) => (one.source === "default" ? "default" : tag(one.source, "good"))},
  {name: "Meaning", class: "wide", cell: (one) => make("span", {class: "small quiet", text: one.doc})},
];

function value(one) {
  if (one.is_secret) return make("span", {class: "quiet", text: one.is_set ? "set, hidden" : "not set"});
  if (one.value === null || one.value === "") return make("span", {class: "quiet", text: "not set"});
  return typeof one.value === "object" ? JSON.stringify(one.value) : String(one.value);
}

export async function show(root, _, {signal}) {
  const {settings} = await ask("/settings", {signal});
  const search = make("input", {type: "search", id: "search", placeholder: "sip, latency, trunk…"});
  const changed = make("input", {type: "checkbox", id: "changed"});
  const list = make("div"), count = make("p", {class: "quiet small", role: "status"});
  root.append(make("div", {class: "head"}, make("h1", {text: title})),
    make("p", {class: "quiet", text: "What holds now. It is set in the configuration file or the environment, and read at the start; prompts and greetings may have newer versions (Agents)."}),
    make("div", {class: "row"}, make("label", {htmlFor: "search", text: "Find"}), search,
      make("label", {class: "row"}, changed, "only what is set")),
    count, list);

  function draw() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = settings.filter((one) => (!changed.checked || one.source !== "default")
      && words.every((word) => (one.key + " " + one.doc).toLowerCase().includes(word)));
    count.textContent = found.length + " of " + settings.length + " settings";
    list.replaceChildren(table("Settings", COLUMNS, found, "No setting is like that."));
  }

  search.addEventListener("input", draw);
  changed.addEventListener("change", draw);
  draw();
}
