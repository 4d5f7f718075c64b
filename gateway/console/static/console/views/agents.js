// SPDX-License-Identifier: GPL-3.0-or-later
import {ask} from "../api.js";
import {clock, make} from "../dom.js";
import {table} from "../table.js";

export const title = "Agents";

const COLUMNS = [
  {name: "Agent", cell: (one) => make("a", {href: "#/agents/" + encodeURIComponent(one.name), text: one.name})},
  {name: "Version", cell: (one) => (one.version ? String(one.version) : "as configured")},
  {name: "Edited", class: "wide", cell: (one) => clock(one.edited_at)},
  {name: "Speech to text", class: "wide", cell: (one) => (one.realtime === "off" ? one.stt : one.realtime)},
  {name: "Language model", cell: (one) => (one.realtime === "off" ? one.llm : one.realtime)},
  {name: "Voice", class: "wide", cell: (one) => (one.realtime === "off" ? one.tts + (one.voice ? " / " + one.voice : "") : one.realtime)},
  {name: "Language", class: "wide", cell: (one) => one.language},
];

export async function show(root, _, {signal}) {
  const {agents} = await ask("/agents", {signal});
  root.append(make("div", {class: "head"}, make("h1", {text: title})), table("Agents", COLUMNS, agents, "There are no agents."));
}
