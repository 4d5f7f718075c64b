// SPDX-License-Identifier: GPL-3.0-or-later
// One call that is over: what was said, to be heard again; where the milliseconds went; how it sounded.
import {ask} from "../api.js";
import {button, clock, confirmAction, duration, make, milliseconds, toast, words} from "../dom.js";
import {download} from "../download.js";
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
  const transcript = make("ol", {class: "transcript" + (player ? " heard" : ""), tabIndex: 0, aria: {label: "Transcript"}}, lines.map(({element}) => element));
  const waterfall = new Waterfall();
  for (const turn of session.turns) waterfall.add(turn);
  const card = (text, ...content) => make("section", {class: "card stack", aria: {label: text}}, make("h2", {text}), ...content);

  function line(entry) {
    const heard = entry.interrupted && entry.heard_text !== null ? entry.heard_text : entry.text;
    const hear = () => player.seek(entry.started_ms);
    const begin = session.recording && session.ended_at
      ? button(duration(entry.started_ms), hear, {class: "flat small number", title: "Hear it", aria: {label: "Hear it, from " + duration(entry.started_ms)}})
      : make("span", {class: "small quiet number", text: duration(entry.started_ms)});
    const said = make("p", {class: "said"}, heard, entry.interrupted && entry.text.startsWith(heard) ? make("s", {class: "quiet", text: entry.text.slice(heard.length)}) : null);
    said.addEventListener("click", () => { if (player && getSelection().isCollapsed) begin.click(); });
    return {entry, element: make("li", {class: entry.role},
      make("span", {class: "who small"}, begin, " ", WHO[entry.role] || entry.role, entry.interrupted ? make("span", {class: "tag warn", text: "caller broke in"}) : null),
      said,
      ...(entry.sources && entry.sources.length ? [make("span", {class: "small quiet", text: "from " + entry.sources.join(", ")})] : []))};
  }

  function mark(ms) {
    for (const {entry, element} of lines) {
      const plays = ms >= entry.started_ms && ms <= entry.ended_ms, did = element.hasAttribute("aria-current");
      if (plays && !did) {
        element.setAttribute("aria-current", "true");
        reveal(transcript, element);
      } else if (!plays && did) element.removeAttribute("aria-current");
    }
  }

  function signalling() {
    if (!session.sip.length) return [make("p", {class: "quiet", text: "No SIP: it came from a browser, or nothing was kept."})];
    const columns = [{name: "After", class: "number", cell: (one) => ((new Date(one.at) - new Date(session.started_at)) / 1000).toFixed(3) + " s"},
      {name: "Way", cell: (one) => (one.sent ? "→ sent" : "← came")}, {name: "Message", cell: (one) => one.summary},
      {name: "Peer", class: "wide", cell: (one) => one.peer + " " + one.transport}];
    return [table("SIP messages", columns, session.sip, ""),
      button("Capture file", () => download(path + "/signalling.pcap", id + ".pcap"), {title: "For Wireshark and sngrep"})];
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
        card("Transcript", lines.length ? transcript : make("p", {class: "quiet", text: "Nothing was said, or nobody wrote it down."})),
        card("Signalling", ...signalling())),
      make("div", {class: "stack"}, card("Latency", waterfall.element), card("Quality", quality(session.quality)))));
  return () => { if (player) player.close(); };
}

// Scrolled within the list alone: the page stays where somebody reads.
function reveal(list, element) {
  const above = element.offsetTop - list.offsetTop - list.scrollTop;
  if (above < 0 || above + element.offsetHeight > list.clientHeight) list.scrollTop += above;
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
