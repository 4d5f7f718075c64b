// SPDX-License-Identifier: GPL-3.0-or-later
// One call that is over: what was said, to be heard again; where the milliseconds went; how it sounded.
import {ask} from "../api.js";
import {button, clock, confirmAction, duration, make, milliseconds, toast, words} from "../dom.js";
import {Player} from "../player.js";
import {table} from "../table.js";
import {Waterfall} from "../waterfall.js";

export const title = "Session";

const WHO = {user: "Caller", assistant: "Agent", tool: "Tool", system: "System"};

export async function show(root, {id}, {signal}) {
  const path = "/sessions/" + encodeURIComponent(id), session = await ask(path, {signal});
  const facts = [["From", session.from], ["To", session.to], ["Agent", session.agent], ["Began", clock(session.started_at)],
    ["Lasted", session.answered_at && session.ended_at ? duration(new Date(session.ended_at) - new Date(session.answered_at)) : null],
    ["End", session.end_reason && words(session.end_reason)], ["Codec", session.codec], ["Trunk", session.trunk],
    ["Far end", session.far_end && words(session.far_end)], ...Object.entries(session.metadata)];
  const lines = session.transcript.map((one) => line(one));
  const player = session.recording && session.ended_at ? new Player(path + "/recording", session.recording_facts, mark) : null;
  const waterfall = new Waterfall();
  for (const turn of session.turns) waterfall.add(turn);
  const card = (text, ...content) => make("section", {class: "card stack", aria: {label: text}}, make("h2", {text}), ...content);

  function line(entry) {
    const heard = entry.interrupted && entry.heard_text !== null ? entry.heard_text : entry.text;
    const begin = make("button", {type: "button", class: "flat small number", text: duration(entry.started_ms), title: "Hear it", onclick: () => player && player.seek(entry.started_ms)});
    begin.disabled = !session.recording;
    return {entry, element: make("li", {class: entry.role},
      make("span", {class: "who small"}, begin, " ", WHO[entry.role] || entry.role, entry.interrupted ? make("span", {class: "tag warn", text: "caller broke in"}) : null),
      make("p", {class: "said"}, heard, entry.interrupted && entry.text.startsWith(heard) ? make("s", {class: "quiet", text: entry.text.slice(heard.length)}) : null),
      ...(entry.sources && entry.sources.length ? [make("span", {class: "small quiet", text: "from " + entry.sources.join(", ")})] : []))};
  }

  function mark(ms) {
    for (const {entry, element} of lines) {
      if (ms >= entry.started_ms && ms <= entry.ended_ms) element.setAttribute("aria-current", "true");
      else element.removeAttribute("aria-current");
    }
  }

  root.append(
    make("div", {class: "head"}, make("h1", {text: "Session of " + clock(session.started_at)}),
      ...(session.ended_at ? [button("Erase", async () => {
        if (!await confirmAction("Erase this session, its recording and all that was said? It cannot be brought back.", {yes: "Erase"})) return;
        await ask(path, {method: "DELETE"});
        toast("It is erased.", "good");
        location.hash = "#/sessions";
      }, {class: "danger"})] : [make("a", {class: "button", href: "#/calls/" + encodeURIComponent(id), text: "It stands: look on"})])),
    make("dl", {class: "facts"}, facts.filter(([, value]) => value).map(([name, value]) => make("div", {}, make("dt", {text: words(name)}), make("dd", {text: value})))),
    make("div", {class: "two"},
      make("div", {class: "stack"},
        ...(player ? [card("Recording", player.element)] : []),
        card("Transcript", lines.length ? make("ol", {class: "transcript", tabIndex: 0, aria: {label: "Transcript"}}, lines.map(({element}) => element))
          : make("p", {class: "quiet", text: "Nothing was said, or nobody wrote it down."}))),
      make("div", {class: "stack"}, card("Latency", waterfall.element), card("Quality", quality(session.quality)),
        card("Signalling", session.sip.length ? table("SIP messages", [
          {name: "Time", cell: (one) => clock(one.at)}, {name: "", cell: (one) => (one.sent ? "→" : "←")},
          {name: "Message", cell: (one) => one.summary}, {name: "Peer", class: "wide", cell: (one) => one.peer + " " + one.transport}], session.sip, "")
          : make("p", {class: "quiet", text: "No SIP: it came from a browser, or nothing was kept."})))));
  return () => { if (player) player.close(); };
}

function quality(figures) {
  if (!figures) return make("p", {class: "quiet", text: "There was no audio."});
  const of = (value, unit, digits = 1) => (value === null || value === undefined ? null : value.toFixed(digits) + unit);
  const rows = [["MOS, as we heard it", of(figures.mos, "", 2)], ["MOS, as they did", of(figures.mos_peer, "", 2)],
    ["Lost from them", of(figures.rx_loss_percent, " %")], ["Lost to them", of(figures.tx_loss_percent, " %")],
    ["Jitter", figures.rx_jitter_ms === null ? null : milliseconds(figures.rx_jitter_ms)], ["Round trip", figures.rtt_ms ? milliseconds(figures.rtt_ms) : null],
    ["Brought back", figures.recovered ? figures.recovered + " packets" : null], ["Made up", figures.concealed_ms ? milliseconds(figures.concealed_ms) : null]];
  return make("dl", {class: "facts"}, rows.filter(([, value]) => value !== null).map(([name, value]) => make("div", {}, make("dt", {text: name}), make("dd", {text: value}))));
}
