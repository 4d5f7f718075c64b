// SPDX-License-Identifier: GPL-3.0-or-later
// Calls that are over, and those that stand: newest first.
import {ask} from "../api.js";
import {button, clock, duration, make, words} from "../dom.js";
import {table} from "../table.js";

export const title = "Sessions";

const PAGE = 50;
const COLUMNS = [
  {name: "Began", cell: (one) => make("a", {href: "#/sessions/" + encodeURIComponent(one.call_id), text: clock(one.started_at)})},
  {name: "From", cell: (one) => one.from},
  {name: "To", class: "wide", cell: (one) => one.to},
  {name: "Agent", class: "wide", cell: (one) => one.agent || "–"},
  {name: "Lasted", class: "number", cell: (one) => (one.ended_at && one.answered_at ? duration(new Date(one.ended_at) - new Date(one.answered_at)) : one.ended_at ? "–" : "stands")},
  {name: "End", cell: (one) => (one.end_reason ? words(one.end_reason) : "–")},
  {name: "Codec", class: "wide", cell: (one) => one.codec || "–"},
  {name: "MOS", class: "number", cell: (one) => (one.quality && one.quality.mos !== null ? one.quality.mos.toFixed(1) : "–")},
  {name: "Recorded", class: "wide", cell: (one) => (one.recording ? "yes" : "no")},
];

export async function show(root, _, {signal}) {
  let sessions = [], next = null;
  const find = make("input", {type: "search", id: "find", placeholder: "number, agent, end…"});
  const list = make("div"), more = button("Older ones", load);
  root.append(make("div", {class: "head"}, make("h1", {text: title})),
    make("div", {class: "row"}, make("label", {htmlFor: "find", text: "Find"}), find,
      make("span", {class: "small quiet", text: "among those that are loaded"})), list, more);

  async function load() {
    const page = await ask("/sessions?limit=" + PAGE + (next ? "&before=" + encodeURIComponent(next) : ""), {signal});
    sessions = [...sessions, ...page.sessions];
    next = page.next;
    more.hidden = next === null;
    draw();
  }

  function draw() {
    const wanted = find.value.toLowerCase();
    const fits = (one) => [one.from, one.to, one.agent, one.end_reason, one.trunk, one.call_id].some((text) => text && text.toLowerCase().includes(wanted));
    list.replaceChildren(table("Sessions", COLUMNS, sessions.filter(fits), wanted ? "None of them is like that." : "There was no call yet."));
  }

  find.addEventListener("input", draw);
  await load();
}
