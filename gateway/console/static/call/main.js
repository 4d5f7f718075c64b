// SPDX-License-Identifier: GPL-3.0-or-later
// The call page: one button. Alone it asks the gateway for a token, or its visitor for a key; in a frame (widget.js) the
// page around it may hand one in, by a message and never in an address.
import {BrowserCall, openMicrophone} from "/static/webrtc.js";
import {follow} from "/static/call/captions.js";
import {meter} from "/static/call/meter.js";

const API = "/api/v1", SLOT = "parley.key", LOOK_MS = 2000, TOKEN_S = 600;
const $ = (id) => document.getElementById(id);
const wanted = new URLSearchParams(location.search);
const agent = wanted.get("agent"), isEmbedded = wanted.has("embed") && window.parent !== window;
let call = null, microphone = null, stops = [], stopMeter = null, handedIn = null, host = null, isBusy = false;

const WHY = { // what to do, by what getUserMedia says
  NotAllowedError: "The microphone is not allowed. Allow it in the address bar of the browser, then call again.",
  NotFoundError: "There is no microphone. Plug one in, then call again.",
  NotReadableError: "Another program has the microphone. Close it, then call again.",
};
const ENDED = {
  hung_up: "You have hung up.", far_end: "The agent has hung up.", lost: "The connection is lost. Check the network, then call again.",
};

function say(text, kind = "") { $("status").textContent = text; $("status").className = kind; tellHost("status", {text}); }

// Only to who has spoken to us: nobody else learns that there is a call.
function tellHost(event, detail = {}) {
  if (host) window.parent.postMessage({parley: event, ...detail}, host);
}

async function tokenFor() {
  if (handedIn) { const token = handedIn; handedIn = null; return token; }
  const key = sessionStorage.getItem(SLOT);
  const wish = agent ? {agent} : {};
  const [path, order, headers] = key
    ? ["/tokens", {scope: "call", ttl_s: TOKEN_S, ...wish}, {Authorization: "Bearer " + key}]
    : ["/webrtc/token", wish, {}];
  const response = await fetch(API + path, {
    method: "POST", headers: {...headers, "Content-Type": "application/json"}, body: JSON.stringify(order),
  }).catch(() => null);
  if (!response) throw new Error("The gateway does not answer. Is it running?");
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer.token;
  if (key && response.status === 401) sessionStorage.removeItem(SLOT);
  if (response.status === 401 || response.status === 403) {
    $("ask").hidden = isEmbedded;
    if (!isEmbedded) $("key").focus();
    throw new Error(isEmbedded ? "This page may not call: its token is missing or has expired. Load the page again."
      : key ? "This key is wrong, has expired, or has not the scopes streams and calls:write. Give another one." : "To call this agent, give an API key.");
  }
  throw new Error(answer.detail || "The gateway answers " + response.status);
}

async function begin() {
  if (!window.isSecureContext) throw new Error("Browsers give a microphone to pages by https only, or on this machine: open it as https://, or by 127.0.0.1.");
  const token = await tokenFor();
  $("ask").hidden = true;
  say("Waiting for the microphone");
  try {
    microphone = await openMicrophone();
  } catch (error) {
    throw new Error(WHY[error.name] || "The microphone does not work: " + error.message);
  }
  say("Calling");
  try {
    call = await BrowserCall.start({bearer: token, microphone, audio: $("audio")});
  } catch (error) {
    throw new Error(error.status === 503 ? "All lines are taken. Try again in a minute."
      : error.status === 403 || error.status === 401 ? "The token of this page does not open this call, or has expired. Load the page again." : "The call fails: " + error.message);
  }
  call.addEventListener("state", stateChanged);
  call.addEventListener("ended", ({detail}) => over(detail.reason));
  $("captions").replaceChildren();
  stops.push(follow($("captions"), call.callId, token, () => call && call.farEndHungUp()));
  const begun = Date.now();
  const clock = setInterval(() => {
    const s = Math.floor((Date.now() - begun) / 1000);
    $("clock").textContent = Math.floor(s / 60) + ":" + String(s % 60).padStart(2, "0");
  }, 500);
  const look = setInterval(quality, LOOK_MS);
  stops.push(() => { clearInterval(clock); clearInterval(look); });
  $("talk").hidden = false;
  $("call").textContent = "Hang up";
  $("call").className = "standing";
  stateChanged();
  tellHost("started", {call_id: call.callId});
}

function stateChanged() {
  if (!call) return;
  if (call.state === "connected") {
    say("You are connected. Speak as to a person.", "good");
    if (call.remote && !stopMeter) stopMeter = meter($("meter"), microphone, call.remote);
  } else if (call.state === "connecting") {
    say("Connecting");
  } else if (call.state === "reconnecting") {
    say("The connection is interrupted: looking for another way", "warn");
  }
}

async function quality() {
  if (!call || call.state !== "connected") return;
  const {rtt_ms, jitter_ms, lost_percent} = await call.stats();
  const bad = (lost_percent || 0) > 5 || (rtt_ms || 0) > 400, poor = (lost_percent || 0) > 1 || (rtt_ms || 0) > 200;
  const said = [bad ? "The connection is bad" : poor ? "The connection is fair" : "The connection is good"];
  if (rtt_ms !== null) said.push(Math.round(rtt_ms) + " ms there and back");
  if (lost_percent) said.push(lost_percent.toFixed(1) + " % lost");
  if (jitter_ms !== null) said.push("jitter " + Math.round(jitter_ms) + " ms");
  $("line").textContent = said.join(", ");
}

function over(reason) {
  for (const stop of stops) stop();
  stops = [];
  if (stopMeter) stopMeter();
  stopMeter = null;
  if (microphone) for (const track of microphone.getTracks()) track.stop();
  call = microphone = null;
  $("talk").hidden = true;
  $("mute").setAttribute("aria-pressed", "false");
  $("call").textContent = "Call again";
  $("call").className = "main";
  say(ENDED[reason] || "The call is over.", reason === "lost" ? "bad" : "");
  tellHost("ended", {reason});
}

async function press() {
  if (isBusy) return;
  if (call) { call.hangUp(); return; }
  isBusy = true;
  $("call").disabled = true;
  try {
    await begin();
  } catch (error) {
    if (call) call.hangUp(); else over("");
    say(error.message, "bad");
  } finally {
    isBusy = false;
    $("call").disabled = false;
  }
}

$("call").addEventListener("click", press);
$("mute").addEventListener("click", () => {
  const on = $("mute").getAttribute("aria-pressed") !== "true";
  $("mute").setAttribute("aria-pressed", String(on));
  if (call) call.mute(on);
});
$("pad").addEventListener("click", () => {
  $("keys").hidden = !$("keys").hidden;
  $("pad").setAttribute("aria-expanded", String(!$("keys").hidden));
});
for (const key of "123456789*0#") {
  const made = document.createElement("button");
  made.type = "button";
  made.textContent = key;
  made.addEventListener("click", () => call && call.dtmf(key));
  $("keys").append(made);
}
document.addEventListener("keydown", ({key, target}) => {
  if (call && /^[0-9*#]$/.test(key) && target.tagName !== "INPUT") call.dtmf(key);
});
$("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(SLOT, $("key").value.trim());
  $("key").value = "";
  $("ask").hidden = true;
  press();
});
if (agent) $("title").textContent = "Call " + agent;
if (isEmbedded) {
  // The gateway lets only `webrtc.origins` frame this page; who frames it is told by its first message.
  window.addEventListener("message", ({source, origin, data}) => {
    if (source !== window.parent || !data || typeof data !== "object" || (host && origin !== host)) return;
    host = origin;
    if (typeof data.parley_token === "string") handedIn = data.parley_token;
    if (data.parley === "call" && !call) press();
    if (data.parley === "hang_up" && call) call.hangUp();
  });
  window.parent.postMessage({parley: "ready"}, "*"); // says nothing but that it is there
}
