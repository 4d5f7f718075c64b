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
  const list = make("div"), more = button("Older ones", load), count = make("span", {class: "small quiet", role: "status"});
  root.append(make("div", {class: "head"}, make("h1", {text: title})),
    make("div", {class: "row"}, make("label", {htmlFor: "find", text: "Find"}), find, count), list, more);

  // With something to find: so far back that there is one more of it.
  async function load() {
    const before = found().length;
    do {
      const page = await ask("/sessions?limit=" + PAGE + (next ? "&before=" + encodeURIComponent(next) : ""), {signal});
      sessions = [...sessions, ...page.sessions];
      next = page.next;
    } while (next !== null && found().length === before);
    more.hidden = next === null;
    draw();
  }

  function found() {
    const wanted = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    return sessions.filter((one) => wanted.every((word) => searched(one).includes(word)));
  }

  function draw() {
    const shown = found(), isAll = shown.length === sessions.length;
    count.textContent = isAll ? "" : shown.length + " of the newest " + sessions.length;
    list.replaceChildren(table("Sessions", COLUMNS, shown, isAll ? "There was no call yet." : "None of them is like that."));
  }

  find.addEventListener("input", draw);
  await load();
}

// What the list shows of it, and a little more.
function searched(one) {
  return [one.from, one.to, one.agent, one.end_reason && words(one.end_reason), one.trunk, one.codec, one.call_id, one.direction,
    one.far_end && words(one.far_end), one.recording && "recorded"].filter(Boolean).join(" ").toLowerCase();
}
