// SPDX-License-Identifier: GPL-3.0-or-later
// One call while it stands: what is said, how loud, how quickly it is answered, and what an operator can do.
import {ask, follow} from "../api.js";
import {Desk} from "../desk.js";
import {askText, button, confirmAction, duration, make, milliseconds, setText, toast, words} from "../dom.js";
import {Transcript} from "../transcript.js";
import {Waterfall} from "../waterfall.js";
import {Waveform} from "../waveform.js";

export const title = "Call";

const TICK_MS = 1000, BATCH_MS = 250;
const SUPERVISING = [
  ["listen", "Listen in", "Hear both sides; nobody hears you"],
  ["whisper", "Whisper", "Be heard by our side only"],
  ["barge", "Barge in", "Be heard by both"],
];

export async function show(root, {id}, {signal}) {
  const path = "/calls/" + encodeURIComponent(id);
  const act = (verb, body) => async () => take(await ask(path + "/" + verb, {method: "POST", body}));
  let call, isOver = false;
  try {
    call = await ask(path, {signal});
  } catch (error) {
    if (error.status !== 404) throw error;
    root.append(make("h1", {text: "This call is over"}),
      make("p", {}, "What stays of it is in ", make("a", {href: "#/sessions/" + encodeURIComponent(id), text: "its session"}), "."));
    return () => {};
  }

  const transcript = new Transcript(), waterfall = new Waterfall(), waveform = new Waveform(), desk = new Desk(id);
  const state = make("span", {class: "tag", role: "status"}), clock = make("span", {class: "number"}), facts = make("dl", {class: "facts"});
  const session = make("a", {href: "#/sessions/" + encodeURIComponent(id), text: "Session"});

  const supervise = SUPERVISING.map(([mode, text, hint]) => button(text, () => (desk.mode === mode ? desk.leave() : desk.supervise(mode)),
    {title: hint, data: {mode}, aria: {pressed: "false"}}));
  const over = button("Take over", () => (desk.mode === "over" ? desk.giveBack() : desk.takeOver()),
    {class: "main", title: "Talk to the caller yourself; the agent steps aside", aria: {pressed: "false"}});
  const own = button("Mute me", () => {
    const isMuted = own.getAttribute("aria-pressed") !== "true";
    desk.mute(isMuted);
    own.setAttribute("aria-pressed", String(isMuted));
  }, {hidden: true, aria: {pressed: "false"}});
  const answer = button("Answer", act("answer"), {class: "main"});
  const hold = button("Hold", () => act(call.state === "held" ? "resume" : "hold")());
  const mute = button("Mute our side", () => act(call.muted ? "unmute" : "mute")(), {title: "The caller hears silence"});
  const muteTheirs = button("Mute the caller", () => act(call.muted_theirs ? "unmute" : "mute", {side: "theirs"})(),
    {title: "Neither the agent nor the recording hears the caller; keys are heard"});
  const transfer = button("Transfer…", transferCall);
  const hangUp = button("Hang up…", async () => {
    if (await confirmAction("End this call now? Both sides are cut off.", {yes: "Hang up"})) await ask(path + "/hangup", {method: "POST"});
  }, {class: "danger"});
  const deskState = make("p", {class: "small quiet", role: "status"});
  const actions = make("section", {class: "card stack", aria: {label: "Actions"}},
    make("div", {class: "row", role: "group", aria: {label: "Listen or talk"}}, supervise, over, own),
    make("div", {class: "row", role: "group", aria: {label: "The call"}}, answer, hold, mute, muteTheirs, transfer, hangUp),
    deskState, desk.audio);

  root.append(
    make("nav", {class: "small", aria: {label: "Where you are"}}, make("a", {href: "#/calls", text: "← Calls"})),
    make("div", {class: "head"}, make("h1", {text: (call.from || "unknown") + " → " + (call.to || "unknown")}), state, clock, session),
    make("div", {class: "two"},
      make("div", {class: "stack"},
        actions,
        make("section", {class: "card stack", aria: {label: "Sound"}}, waveform.element),
        make("section", {class: "card stack", aria: {label: "What is said"}}, make("h2", {text: "Transcript"}), transcript.element)),
      make("div", {class: "stack"},
        make("section", {class: "card stack", aria: {label: "Facts"}}, facts),
        make("section", {class: "card stack", aria: {label: "Latency"}}, make("h2", {text: "Response time"}), waterfall.element))));

  desk.addEventListener("change", drawDesk);
  drawDesk();
  draw();
  if (call.answered_at) waveform.begin(id);
  const ticking = setInterval(drawClock, TICK_MS);
  const stop = follow({call_id: id, batch_ms: BATCH_MS, after: 0}, (events) => events.forEach(receive), (feed) => {
    if (feed === "refused") toast("This key lacks the scope events: nothing moves here by itself.", "bad");
  });

  function receive({kind, at, data}) {
    const since_ms = call.answered_at ? Date.parse(at) - Date.parse(call.answered_at) : undefined;
    switch (kind) {
      case "transcript.partial": transcript.hear(data.text); return;
      case "transcript.final":
        transcript.add(data);
        if (data.interrupted) waveform.mark(data.ended_ms);
        return;
      case "turn.measured": waterfall.add(data); return;
      case "dtmf.received": transcript.note("Key " + data.digit, since_ms); return;
      case "tool.called": transcript.note("Tool " + data.name + ": " + data.outcome + " in " + milliseconds(data.took_ms), since_ms); return;
      case "silence.prompted": transcript.note(data.number ? "The caller is silent: the agent asks" : "The caller is silent: goodbye", since_ms); return;
      case "call.quality": change({quality: data.quality}); return;
      case "call.progress": change({ringing: data.sip_code === 180}); return;
      case "call.answered":
        change({state: "active", ringing: false, codec: data.codec, answered_at: call.answered_at || at});
        if (since_ms === undefined) waveform.begin(id);
        return;
      case "call.held":
        transcript.note(data.by === "us" ? "On hold" : "The caller has put us on hold", since_ms);
        change({state: "held"});
        return;
      case "call.resumed":
        transcript.note("Hold is over", since_ms);
        change({state: "active"});
        return;
      case "call.activity":
        transcript.note(data.activity === "agent" ? "The agent " + data.agent + " has the call" : "The call is for: " + words(data.activity), since_ms);
        change({activity: data.activity, agent: data.agent || call.agent});
        return;
      case "call.transfer":
        transcript.note("Transfer: " + data.status + (data.sip_code ? " (" + data.sip_code + ")" : ""), since_ms);
        change({transfer: data});
        return;
      case "recording.changed": change({recording: data.state}); return;
      case "call.ended": end(data); return;
      default: return;
    }
  }

  // Events tell everything but the two mutes, which the answers to our own requests do.
  function change(what) {
    if (isOver) return;
    call = {...call, ...what};
    draw();
  }

  function take(info) {
    if (info && info.call_id) change({...info, quality: info.quality || call.quality});
  }

  function end({reason, duration_ms, quality}) {
    isOver = true;
    call = {...call, state: "ended", quality: quality || call.quality};
    desk.leave();
    waveform.end();
    clearInterval(ticking);
    transcript.note("The call is over: " + words(reason || "ended"), duration_ms === null ? undefined : duration_ms);
    setText(clock, duration(duration_ms));
    draw();
  }

  async function transferCall() {
    const to = await askText("Where to? The caller’s own telephone is asked to call there, and leaves us.",
      {label: "SIP URI or number", yes: "Transfer", maxLength: 512});
    if (!to) return;
    take(await ask(path + "/transfer", {method: "POST", body: {to, mode: "blind"}}));
    toast("The caller’s side has been asked; see the transcript for how it goes.");
  }

  function draw() {
    const name = isOver ? "over" : call.ringing ? "ringing" : call.state === "held" ? "on hold" : call.state;
    setText(state, name);
    state.className = "tag " + (call.state === "active" ? "good" : call.state === "held" ? "warn" : "");
    const quality = call.quality || {};
    const told = [
      ["Agent", call.agent], ["For", call.activity === "none" ? null : words(call.activity || "")], ["Codec", call.codec],
      ["Trunk", call.trunk || (call.metadata || {}).trunk], ["MOS", fixed(quality.mos, 2)], ["Jitter", known(quality.rx_jitter_ms, milliseconds)],
      ["Loss", known(quality.rx_loss_percent, (loss) => loss.toFixed(1) + " %")], ["Round trip", known(quality.rtt_ms, milliseconds)],
      ["Recording", call.recording], ["Transfer", call.transfer && call.transfer.status], ["Direction", call.direction],
    ].filter(([, value]) => value);
    facts.replaceChildren(...told.map(([term, value]) => make("div", {}, make("dt", {text: term}), make("dd", {text: value}))));
    const stands = !isOver && (call.state === "active" || call.state === "held");
    answer.hidden = isOver || call.state !== "offered";
    setText(hold, call.state === "held" ? "Resume" : "Hold");
    press(mute, call.muted);
    press(muteTheirs, call.muted_theirs);
    for (const one of [hold, mute, muteTheirs, transfer, over, ...supervise]) one.disabled = !stands;
    hangUp.disabled = isOver;
    drawClock();
  }

  function drawClock() {
    if (!isOver && !document.hidden) setText(clock, duration(Date.now() - Date.parse(call.answered_at || call.started_at)));
  }

  function drawDesk() {
    for (const one of supervise) press(one, one.dataset.mode === desk.mode);
    press(over, desk.mode === "over");
    setText(over, desk.mode === "over" ? "Give back" : "Take over");
    own.hidden = !["whisper", "barge", "over"].includes(desk.mode);
    if (own.hidden) press(own, false);
    setText(deskState, {
      off: "", connecting: "Connecting your microphone and loudspeaker…", listen: "You are listening; nobody hears you.",
      whisper: "Our side hears you; the caller does not.", barge: "Everybody hears you.", over: "You talk to the caller. Give back, or leave this page: the agent goes on.",
    }[desk.mode]);
  }

  return () => {
    stop();
    desk.leave();
    waveform.end();
    clearInterval(ticking);
  };
}

function press(one, isPressed) { one.setAttribute("aria-pressed", String(Boolean(isPressed))); }

function known(value, write) { return value === null || value === undefined ? null : write(value); }

function fixed(value, places) { return known(value, (number) => number.toFixed(places)); }
