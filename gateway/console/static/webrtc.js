// SPDX-License-Identifier: GPL-3.0-or-later
// A call from a browser: an offer to /webrtc/offer, candidates as they come, another way when the one is lost, the end.
const API = "/api/v1/webrtc";
const LOST_MS = 2000; // a way that is back by then was no way lost
const LOOK_MS = 250, AGAIN_MS = 3000, LONGEST_MS = 60000; // between looks, between tries to find another way, and how long it is looked for

export class CallFailed extends Error {
  // `status`: of the gateway's answer; 0: it gave none.
  constructor(status, message) { super(message); this.status = status; }
}

export class BrowserCall extends EventTarget {
  // Events: "state" (see `state`), "ended" (detail.reason: "hung_up", "far_end", "lost").
  #peer; #bearer; #location; #etag = "*"; #waiting = []; #sender; #lostAt = 0; #timer = 0; #isRestarting = false;

  // `order`: what /webrtc/offer takes besides the offer. `microphone`: a MediaStream, or null to listen only. `audio`: an
  // audio element for what comes. Throws `CallFailed`.
  static async start({bearer, order = {}, microphone = null, audio}) {
    const call = new BrowserCall();
    await call.#begin(bearer, order, microphone, audio);
    return call;
  }

  callId = null;
  state = "connecting"; // then "connected", "reconnecting", "ended"
  remote = null; // MediaStream of what comes

  async #begin(bearer, order, microphone, audio) {
    this.#bearer = bearer;
    const {ice_servers} = await (await this.#ask(API + "/ice-servers")).json();
    const peer = this.#peer = new RTCPeerConnection({
      iceServers: ice_servers.map(({urls, username, credential}) => (username ? {urls, username, credential} : {urls})),
      bundlePolicy: "max-bundle",
    });
    peer.ontrack = ({track}) => {
      this.remote = new MediaStream([track]);
      audio.srcObject = this.remote;
      audio.play().catch(() => {}); // until somebody has touched the page
    };
    const track = microphone ? microphone.getAudioTracks()[0] : null;
    const transceiver = peer.addTransceiver(track || "audio", {direction: "sendrecv", streams: microphone ? [microphone] : []});
    this.#sender = transceiver.sender;
    preferRedundancy(transceiver);
    peer.onicecandidate = ({candidate}) => this.#trickle(candidate);
    peer.onconnectionstatechange = () => this.#changed(peer.connectionState);
    try {
      await peer.setLocalDescription(await peer.createOffer());
      const response = await this.#ask(API + "/offer", {
        method: "POST", headers: {"Content-Type": "application/json"},
        body: JSON.stringify({...order, sdp: peer.localDescription.sdp}),
      });
      const answer = await response.json();
      this.callId = answer.call_id;
      this.#location = API + "/calls/" + encodeURIComponent(answer.call_id);
      this.#etag = response.headers.get("ETag") || "*";
      await peer.setRemoteDescription({type: "answer", sdp: answer.sdp});
    } catch (error) {
      this.#close();
      throw error;
    }
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting.length) this.#send(waiting);
    window.addEventListener("online", this.#online);
    window.addEventListener("pagehide", this.#leave);
  }

  mute(on) { if (this.#sender.track) this.#sender.track.enabled = !on; }

  // Telephone keys: 0-9 * # A-D, a comma pauses for two seconds.
  dtmf(digits) {
    if (this.#sender.dtmf && this.#sender.dtmf.canInsertDTMF) this.#sender.dtmf.insertDTMF(this.#sender.dtmf.toneBuffer + digits, 120, 70);
  }

  hangUp() { this.#end("hung_up", true); }

  // The far end has hung up, as the events of the call tell.
  farEndHungUp() { this.#end("far_end", false); }

  // {rtt_ms, jitter_ms, lost_percent, concealed_percent, codec, way}, null where nothing is known yet. `way`: "relay" by a
  // TURN server, else as ICE calls our candidate.
  async stats() {
    const found = {rtt_ms: null, jitter_ms: null, lost_percent: null, concealed_percent: null, codec: null, way: null};
    const report = await this.#peer.getStats();
    for (const one of report.values()) {
      if (one.type === "candidate-pair" && one.nominated && one.currentRoundTripTime !== undefined) {
        found.rtt_ms = one.currentRoundTripTime * 1000;
        const ours = report.get(one.localCandidateId);
        if (ours) found.way = ours.candidateType;
      } else if (one.type === "inbound-rtp") {
        found.jitter_ms = one.jitter * 1000;
        const all = one.packetsReceived + Math.max(0, one.packetsLost);
        found.lost_percent = all ? 100 * Math.max(0, one.packetsLost) / all : null;
        found.concealed_percent = one.totalSamplesReceived ? 100 * one.concealedSamples / one.totalSamplesReceived : null;
      } else if (one.type === "codec" && found.codec === null) {
        found.codec = one.mimeType.replace("audio/", "");
      }
    }
    return found;
  }

  #trickle(candidate) {
    const line = candidate && candidate.candidate ? "a=" + candidate.candidate : "a=end-of-candidates";
    if (this.#waiting) this.#waiting.push(line); else this.#send([line]);
  }

  async #send(lines) {
    try {
      const response = await this.#patch(lines, this.#etag);
      if (response.status === 200) await this.#take(response);
    } catch { /* of another generation, or over: the browser goes on looking by itself */ }
  }

  #patch(lines, etag) {
    const local = this.#peer.localDescription.sdp;
    const credential = (name) => (local.match(new RegExp("^a=" + name + ":.*$", "m")) || [""])[0].trim();
    const fragment = [credential("ice-ufrag"), credential("ice-pwd"), ...lines, ""].join("\r\n");
    return this.#ask(this.#location, {
      method: "PATCH", headers: {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": etag}, body: fragment,
    });
  }

  // Our answer's other side after a restart: new credentials and candidates in the answer of before.
  async #take(response) {
    this.#etag = response.headers.get("ETag") || "*";
    const fragment = (await response.text()).split(/\r?\n/);
    const fresh = fragment.filter((line) => /^a=(ice-ufrag|ice-pwd|candidate|end-of-candidates)/.test(line));
    const kept = this.#peer.remoteDescription.sdp.split(/\r?\n/)
      .filter((line) => line && !/^a=(ice-ufrag|ice-pwd|candidate|end-of-candidates)/.test(line));
    await this.#peer.setRemoteDescription({type: "answer", sdp: [...kept, ...fresh, ""].join("\r\n")});
  }

  #changed(state) {
    if (this.state === "ended") return;
    if (state === "connected") {
      clearTimeout(this.#timer);
      this.#lostAt = 0;
      this.#tell("connected");
    } else if (state === "disconnected") {
      this.#lose(LOST_MS);
    } else if (state === "failed") {
      this.#lose(0);
    } else if (state === "closed") {
      this.#end("far_end", false);
    }
  }

  #lose(wait_ms) {
    if (!this.#lostAt) this.#lostAt = Date.now();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#restart(), wait_ms);
    this.#tell("reconnecting");
  }

  #online = () => { if (this.state !== "ended") this.#lose(0); };
  #leave = () => this.#end("hung_up", true);

  // ICE begins anew (RFC 9725 section 4.3.3): the same call by another way.
  async #restart() {
    if (this.state === "ended" || this.#isRestarting) return;
    if (Date.now() - this.#lostAt > LONGEST_MS) { this.#end("lost", true); return; }
    this.#isRestarting = true;
    try {
      this.#waiting = [];
      await this.#peer.setLocalDescription(await this.#peer.createOffer({iceRestart: true}));
      const response = await this.#patch([], "*");
      await this.#take(response);
      const waiting = this.#waiting;
      this.#waiting = null;
      if (waiting.length) this.#send(waiting);
    } catch (error) {
      this.#waiting = null;
      if (this.#peer.signalingState === "have-local-offer") await this.#peer.setLocalDescription({type: "rollback"}).catch(() => {});
      if (error.status === 404) { this.#end("far_end", false); return; }
    } finally {
      this.#isRestarting = false;
    }
    this.#settle(Date.now() + AGAIN_MS);
  }

  // A way that was not really lost stays "connected" throughout, and no event tells that there is another one.
  #settle(until) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      if (this.state !== "reconnecting") return;
      if (this.#peer.connectionState === "connected") this.#changed("connected");
      else if (Date.now() > until) this.#restart();
      else this.#settle(until);
    }, LOOK_MS);
  }

  #end(reason, tells) {
    if (this.state === "ended") return;
    if (tells && this.#location) {
      fetch(this.#location, {method: "DELETE", headers: this.#authorization(), keepalive: true}).catch(() => {});
    }
    this.#close();
    this.#tell("ended");
    this.dispatchEvent(new CustomEvent("ended", {detail: {reason}}));
  }

  #close() {
    clearTimeout(this.#timer);
    window.removeEventListener("online", this.#online);
    window.removeEventListener("pagehide", this.#leave);
    if (this.#peer) {
      this.#peer.onconnectionstatechange = this.#peer.onicecandidate = null;
      this.#peer.close();
    }
  }

  #tell(state) {
    if (this.state === state) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  #authorization() { return {Authorization: "Bearer " + this.#bearer}; }

  async #ask(path, options = {}) {
    let response;
    try {
      response = await fetch(path, {...options, headers: {...options.headers, ...this.#authorization()}, cache: "no-store"});
    } catch {
      throw new CallFailed(0, "the gateway does not answer");
    }
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({}));
    throw new CallFailed(response.status, problem.detail || problem.title || "the gateway answers " + response.status);
  }
}

// What stands first is sent: redundancy, where the browser has it, then Opus; nothing else is understood there.
function preferRedundancy(transceiver) {
  const known = RTCRtpReceiver.getCapabilities("audio").codecs;
  const is = (name) => known.filter((codec) => codec.mimeType.toLowerCase() === "audio/" + name);
  const wanted = [...is("red"), ...is("opus"), ...is("telephone-event")];
  try { transceiver.setCodecPreferences(wanted); } catch { /* as the browser likes it */ }
}

// The microphone, as a MediaStream. Throws what getUserMedia throws.
export function openMicrophone() {
  return navigator.mediaDevices.getUserMedia({
    audio: {echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1},
  });
}

// How a page says its key or token with a WebSocket, where it can send no header: as a subprotocol.
export function offeredKey(bearer) {
  const bytes = new TextEncoder().encode(bearer);
  return "parley.key." + btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
