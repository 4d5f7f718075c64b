// SPDX-License-Identifier: GPL-3.0-or-later
// The calls that stand. Events change rows where they are, once a second; the list is asked for again now and then.
import {ask, follow} from "../api.js";
import {duration, make, milliseconds, setText, words} from "../dom.js";

export const title = "Calls";

const TICK_MS = 1000, RECONCILE_MS = 15000;
const FAIR_MOS = 3.6, POOR_MOS = 3.1; // ITU-T G.107 Annex B: some, then many users dissatisfied

// name: what it is called, of: what is sorted by, text: what is shown, kind: of the cell
const COLUMNS = [
  {name: "Call", of: (call) => call.from + " " + call.to},
  {name: "State", of: stateOf},
  {name: "Duration", kind: "number", of: (call) => -Date.parse(call.answered_at || call.started_at)},
  {name: "Agent", kind: "wide", of: (call) => call.agent || "", text: (call) => call.agent || "–"},
  {name: "Trunk", kind: "wide", of: trunkOf, text: (call) => trunkOf(call) || "–"},
  {name: "Codec", kind: "wide", of: (call) => call.codec || "", text: (call) => call.codec || "–"},
  {name: "MOS", kind: "number", of: (call) => measured(call, "mos"), text: (call) => decimal(measured(call, "mos"), 2)},
  {name: "Jitter", kind: "number wide", of: (call) => measured(call, "rx_jitter_ms"),
    text: (call) => milliseconds(measured(call, "rx_jitter_ms"))},
  {name: "Loss", kind: "number wide", of: (call) => measured(call, "rx_loss_percent"), text: (call) => lossOf(call)},
];

export function show(root, _, {signal, fail}) {
  const rows = new Map(); // call id -> {call, parts, isDirty, toldAt: of its last event}
  const over = new Set(); // calls that an answer on its way may still have
  let order = {column: 2, isDown: true}, isUnsorted = true;

  const count = make("span", {class: "quiet"});
  const feed = make("span", {class: "tag", text: "connecting"});
  const filter = make("input", {type: "search", placeholder: "Number, agent, trunk, codec…", aria: {label: "Filter calls"}, oninput: () => draw(true)});
  const body = make("tbody");
  const heads = COLUMNS.map((column, index) => make("th", {class: column.kind, scope: "col"},
    make("button", {type: "button", text: column.name, onclick: () => sortBy(index)})));
  const table = make("table", {class: "calls"}, make("caption", {class: "unseen", text: "Calls that stand"}), make("thead", {}, make("tr", {}, heads)), body);
  const none = make("p", {class: "none", hidden: true});
  root.append(
    make("div", {class: "head"}, make("h1", {text: title}), count, feed, filter),
    make("div", {class: "scroll"}, table, none));
  markOrder();

  const stop = follow({kinds: "call.*", batch_ms: TICK_MS}, (events) => events.forEach(receive), (state, complete) => {
    setText(feed, state === "live" ? "live" : state === "lost" ? "connection lost" : "no events: the key lacks the scope");
    feed.className = "tag " + (state === "live" ? "good" : "warn");
    if (state === "live") load(); // what happened between the last event and the list
    else if (state === "refused") load();
    if (!complete) load();
  });
  const ticking = setInterval(() => { if (!document.hidden) draw(false); }, TICK_MS);
  const loading = setInterval(load, RECONCILE_MS);
  const seen = () => { if (!document.hidden) draw(true); };
  document.addEventListener("visibilitychange", seen);
  load();

  async function load() {
    const began = performance.now();
    let calls;
    try {
      ({calls} = await ask("/calls", {signal}));
    } catch (error) {
      if (error.status === 403) { stop(); clearInterval(loading); fail(error); }
      else if (error.name !== "AbortError" && error.status !== 401) setText(feed, error.title || error.message);
      return;
    }
    const there = new Set(calls.map((call) => call.call_id));
    const isNewer = (id) => rows.has(id) && rows.get(id).toldAt > began; // than the answer: events overtake it
    for (const id of rows.keys()) if (!there.has(id) && !isNewer(id)) remove(id);
    for (const call of calls) if (!over.has(call.call_id) && !isNewer(call.call_id)) change(call.call_id, call, 0);
    over.clear();
    draw(true);
  }

  function receive({kind, call_id, at, data}) {
    if (kind === "call.ended") { remove(call_id); over.add(call_id); return; }
    const known = rows.has(call_id);
    if (kind === "call.offered" || kind === "call.dialing") {
      change(call_id, {...data, call_id, state: kind === "call.offered" ? "offered" : "dialing", started_at: at});
    } else if (!known) {
      return; // the list will have it
    } else if (kind === "call.progress") change(call_id, {ringing: data.sip_code === 180});
    else if (kind === "call.answered") change(call_id, {state: "active", ringing: false, answered_at: at, codec: data.codec});
    else if (kind === "call.held") change(call_id, {state: "held"});
    else if (kind === "call.resumed") change(call_id, {state: "active"});
    else if (kind === "call.activity") change(call_id, {activity: data.activity, agent: data.agent || rows.get(call_id).call.agent});
    else if (kind === "call.quality") change(call_id, {quality: data.quality});
  }

  function change(id, what, toldAt = performance.now()) {
    const row = rows.get(id);
    if (row) {
      const quality = what.quality || row.call.quality; // a list has none
      row.call = {...row.call, ...what, quality};
      row.isDirty = true;
      row.toldAt = toldAt;
    } else {
      rows.set(id, {call: what, parts: null, isDirty: true, begun: 0, toldAt});
    }
    isUnsorted = true;
  }

  function remove(id) {
    const row = rows.get(id);
    if (row && row.parts) row.parts.row.remove();
    rows.delete(id);
  }

  function sortBy(index) {
    order = {column: index, isDown: order.column === index ? !order.isDown : COLUMNS[index].kind === "number"};
    markOrder();
    draw(true);
  }

  function markOrder() {
    heads.forEach((head, index) => {
      if (index !== order.column) head.removeAttribute("aria-sort");
      else head.setAttribute("aria-sort", order.isDown ? "descending" : "ascending");
    });
  }

  // What changed, and every duration. `isWhole`: also which rows there are, and in which order.
  function draw(isWhole) {
    const now = Date.now();
    for (const row of rows.values()) {
      if (!row.parts) row.parts = makeRow(row.call);
      if (row.isDirty) fillRow(row);
      const shown = duration(now - row.begun);
      if (row.parts.clock.data !== shown) row.parts.clock.data = shown;
    }
    if (isWhole || isUnsorted) arrange();
    setText(count, rows.size === 1 ? "1 call" : rows.size + " calls");
  }

  function arrange() {
    isUnsorted = false;
    const asked = filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const {of} = COLUMNS[order.column], sign = order.isDown ? -1 : 1;
    const wanted = [...rows.values()].filter((row) => asked.every((part) => row.said.includes(part)));
    wanted.sort((a, b) => sign * compare(of(a.call), of(b.call), sign) || compare(a.call.call_id, b.call.call_id, 1));
    const there = new Set(wanted.map((row) => row.parts.row));
    for (const child of [...body.children]) if (!there.has(child)) child.remove();
    wanted.forEach(({parts}, index) => { // what is in its place stays: moving would take the focus away
      if (body.children[index] !== parts.row) body.insertBefore(parts.row, body.children[index] || null);
    });
    none.hidden = wanted.length > 0;
    setText(none, rows.size ? "No call fits the filter." : "There are no calls now. What is called next appears here.");
  }

  return () => {
    stop();
    clearInterval(ticking);
    clearInterval(loading);
    document.removeEventListener("visibilitychange", seen);
  };
}

function makeRow(call) {
  const clock = document.createTextNode("");
  const link = make("a", {href: "#/calls/" + encodeURIComponent(call.call_id)});
  const brief = make("div", {class: "narrow small quiet"});
  const state = make("span", {class: "tag"});
  const cells = COLUMNS.slice(3).map(({kind}) => make("td", {class: kind}));
  const row = make("tr", {data: {call: call.call_id}},
    make("th", {scope: "row"}, link, brief), make("td", {}, state), make("td", {class: "number"}, clock), cells);
  return {row, clock, link, brief, state, cells};
}

function fillRow(row) {
  const {call, parts} = row;
  row.isDirty = false;
  row.begun = Date.parse(call.answered_at || call.started_at);
  setText(parts.link, (call.from || "unknown") + " → " + (call.to || "unknown"));
  setText(parts.brief, [call.agent, call.codec].filter(Boolean).join(" · "));
  const state = stateOf(call);
  setText(parts.state, state);
  parts.state.className = "tag " + (call.state === "held" ? "warn" : call.state === "active" ? "good" : "");
  parts.cells.forEach((cell, index) => setText(cell, COLUMNS[index + 3].text(call)));
  const mos = measured(call, "mos");
  parts.cells[3].className = "number " + (mos === null ? "" : mos < POOR_MOS ? "bad" : mos < FAIR_MOS ? "warn" : "good");
  row.said = [call.from, call.to, call.agent, trunkOf(call), call.codec, state, call.call_id, call.direction].join(" ").toLowerCase();
}

function stateOf(call) {
  if (call.state === "offered" || call.state === "dialing") return call.ringing ? "ringing" : call.state;
  if (call.state === "held") return "on hold";
  return call.activity && call.activity !== "none" ? words(call.activity) : "active";
}

function trunkOf(call) { return call.trunk || (call.metadata || {}).trunk || ""; }

function measured(call, name) {
  const value = call.quality ? call.quality[name] : null;
  return value === undefined ? null : value;
}

function lossOf(call) {
  const loss = measured(call, "rx_loss_percent");
  return loss === null ? "–" : loss.toFixed(1) + " %";
}

function decimal(value, places) { return value === null ? "–" : value.toFixed(places); }

// What is not known comes last, whichever way it is sorted.
function compare(a, b, sign) {
  if (a === b) return 0;
  if (a === null) return sign;
  if (b === null) return -sign;
  return a < b ? -1 : 1;
}
