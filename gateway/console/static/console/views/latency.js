// SPDX-License-Identifier: GPL-3.0-or-later
// How quickly agents have answered lately, and where the time went: all of them, and each.
import {ask} from "../api.js";
import {make, milliseconds, percent} from "../dom.js";
import {legend, segmentBar, segmentName, SEGMENTS} from "../waterfall.js";

export const title = "Latency";

const AGAIN_MS = 10000;
const STRETCHES = [[15, "15 minutes"], [60, "hour"], [240, "4 hours"], [1440, "24 hours"]];
const SHARES = ["p50", "p90", "p95", "p99"];

export async function show(root, _, {signal, fail}) {
  let timer = 0, asked = 0;
  const stretch = make("select", {id: "stretch", onchange: load}, STRETCHES.map(([minutes, text]) =>
    make("option", {value: minutes, text, selected: minutes === 60})));
  const content = make("div", {class: "stack"});
  root.append(
    make("div", {class: "head"}, make("h1", {text: title}), make("label", {class: "row"}, make("span", {text: "The last"}), stretch)),
    make("p", {class: "quiet small", text: "From the end of the caller’s speech to the first audible packet of the answer. "
      + "Parley’s own share is what was neither waiting for a service nor for the end of the turn."}),
    content);
  await load();

  async function load() {
    const mine = ++asked;
    clearTimeout(timer);
    try {
      const query = "?minutes=" + stretch.value;
      const names = await agentNames();
      const [all, ...each] = await Promise.all([
        ask("/latency" + query, {signal}),
        ...names.map((name) => ask("/latency" + query + "&agent=" + encodeURIComponent(name), {signal})),
      ]);
      if (mine !== asked) return;
      draw(all, names.map((name, index) => [name, each[index]]).filter(([, found]) => found.turns));
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.status !== 0) { fail(error); return; }
    }
    if (mine === asked) timer = setTimeout(load, AGAIN_MS);
  }

  async function agentNames() {
    try {
      return (await ask("/agents", {signal})).agents.map((agent) => agent.name);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      return []; // all of them together are better than nothing
    }
  }

  function draw(all, each) {
    if (!all.turns) {
      content.replaceChildren(make("p", {class: "card none", text: "No turn was measured in this time."}));
      return;
    }
    const found = [["All agents", all], ...(each.length > 1 ? each : [])];
    content.replaceChildren(responses(found), legend(), ...found.map(([name, one]) => segments(name, one)));
  }

  return () => { clearTimeout(timer); asked += 1; };
}

function responses(found) {
  const longest_ms = Math.max(...found.map(([, one]) => one.response_ms.p99));
  const heads = ["Agent", "Turns", ...SHARES, "Own p95", "Begun early", "Interrupted"];
  const wide = new Set(["p90", "p99", "Begun early", "Interrupted"]);
  const kind = (head, index) => (index ? "number " : "") + (wide.has(head) ? "wide" : "");
  const rows = found.map(([name, one]) => {
    const bar = make("div", {class: "shares", aria: {hidden: "true"}});
    for (const share of [...SHARES].reverse()) {
      const part = make("div", {class: share});
      part.style.setProperty("width", 100 * one.response_ms[share] / longest_ms + "%");
      bar.append(part);
    }
    const values = [String(one.turns), ...SHARES.map((share) => milliseconds(one.response_ms[share])), milliseconds(one.own_ms.p95),
      percent(one.speculative), percent(one.interrupted)];
    return make("tr", {}, make("th", {scope: "row"}, name, bar),
      values.map((text, index) => make("td", {class: kind(heads[index + 1], index + 1), text})));
  });
  return make("div", {class: "scroll"}, make("table", {},
    make("caption", {text: "Response time"}),
    make("thead", {}, make("tr", {}, heads.map((text, index) => make("th", {scope: "col", class: kind(text, index), text})))),
    make("tbody", {}, rows)));
}

// Each segment by itself: their p95 do not add up to that of the whole, for not every turn is slow in the same place.
function segments(name, one) {
  const longest_ms = Math.max(...Object.values(one.segments_ms).map((shares) => shares.p95), 1);
  const medians = Object.fromEntries(Object.entries(one.segments_ms).map(([segment, shares]) => [segment, shares.p50]));
  const whole_ms = Object.values(medians).reduce((sum, ms) => sum + ms, 0);
  const rows = Object.entries(one.segments_ms).map(([segment, shares]) => {
    const track = make("div", {class: "track"});
    for (const share of ["p95", "p50"]) {
      const part = make("div", {class: "segment " + segment + " " + share});
      part.style.setProperty("width", 100 * shares[share] / longest_ms + "%");
      track.append(part);
    }
    return make("tr", {},
      make("th", {scope: "row", text: segmentName(segment), title: SEGMENTS[segment] || segment}), make("td", {class: "track"}, track),
      ["p50", "p95"].map((share) => make("td", {class: "number", text: milliseconds(shares[share])})));
  });
  return make("section", {class: "card stack", aria: {label: "Segments: " + name}},
    make("h2", {text: name + ": where the time goes"}), segmentBar(medians, whole_ms),
    make("table", {class: "steps"},
      make("thead", {}, make("tr", {}, make("th", {scope: "col", text: "Segment"}), make("td", {}),
        ["p50", "p95"].map((text) => make("th", {scope: "col", class: "number", text})))),
      make("tbody", {}, rows)));
}
