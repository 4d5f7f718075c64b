// SPDX-License-Identifier: GPL-3.0-or-later
// The operator's own leg: with it one listens to a call, whispers, breaks in, or takes it over.
import {ask, key} from "./api.js";
import {make} from "./dom.js";

const CONNECT_MS = 15000;

export class Desk extends EventTarget {
  // Event "change": see `mode`. One for each call that is looked at.
  mode = "off"; // then "listen", "whisper", "barge", "over" (taken over), or "connecting"
  audio = make("audio", {autoplay: true, hidden: true});
  #path; #leg = null; #hasMicrophone = false; #microphone = null;

  constructor(callId) {
    super();
    this.#path = "/calls/" + encodeURIComponent(callId);
  }

  // Hear the call; "whisper" and "barge": be heard as well. Throws when that cannot be.
  async supervise(mode) {
    if (this.mode === mode) return;
    if (this.mode === "over") await this.giveBack();
    await this.#change(mode, mode !== "listen", async (leg) => {
      await ask(this.#path + "/supervise", {method: "POST", body: {supervisor: leg.callId, mode}});
    });
  }

  // Talk to the caller in place of whoever has the call, who gets it back afterwards.
  async takeOver() {
    if (this.mode === "over") return;
    await this.#change("over", true, async (leg, before) => {
      if (before !== "off") await this.#superviseNoMore(leg);
      await ask(this.#path + "/bridge", {method: "POST", body: {call_id: leg.callId, on_end: "return"}});
    });
  }

  async giveBack() {
    if (this.mode !== "over") return;
    await ask(this.#path + "/unbridge", {method: "POST"});
    this.leave();
  }

  mute(on) { if (this.#leg) this.#leg.mute(on); }

  // Listen no more, or give the call back; the leg is hung up, and what it was for ends with it.
  leave() {
    const leg = this.#leg;
    this.#leg = null;
    if (leg) leg.hangUp();
    if (this.#microphone) for (const track of this.#microphone.getTracks()) track.stop();
    this.#microphone = null;
    this.#hasMicrophone = false;
    this.#tell("off");
  }

  async #change(mode, speaks, act) {
    const before = this.mode;
    this.#tell("connecting");
    try {
      if (speaks && this.#leg && !this.#hasMicrophone) this.leave(); // it was opened to listen only
      const isNew = !this.#leg;
      if (isNew) this.#tell("connecting");
      const leg = this.#leg || await this.#open(speaks);
      await act(leg, isNew ? "off" : before);
    } catch (error) {
      this.leave();
      throw error;
    }
    this.#tell(mode);
  }

  async #open(speaks) {
    const {BrowserCall, openMicrophone} = await import("/static/webrtc.js");
    if (speaks) {
      try {
        this.#microphone = await openMicrophone();
      } catch {
        throw new Error("Allow this page to use the microphone: without it nobody would hear you.");
      }
    }
    const leg = await BrowserCall.start({bearer: key.get(), order: {desk: true}, microphone: this.#microphone, audio: this.audio});
    this.#leg = leg;
    this.#hasMicrophone = speaks;
    leg.addEventListener("ended", () => { if (this.#leg === leg) { this.#leg = null; this.leave(); } });
    await connected(leg);
    return leg;
  }

  async #superviseNoMore(leg) {
    await ask(this.#path + "/supervise", {method: "POST", body: {supervisor: leg.callId, mode: "off"}});
  }

  #tell(mode) {
    if (this.mode === mode) return;
    this.mode = mode;
    this.dispatchEvent(new Event("change"));
  }
}

function connected(leg) {
  return new Promise((resolve, reject) => {
    const overdue = setTimeout(() => reject(new Error("No way from this browser to the gateway was found (UDP, or a TURN server).")), CONNECT_MS);
    const look = () => {
      if (leg.state === "connected") { clearTimeout(overdue); resolve(); }
      else if (leg.state === "ended") { clearTimeout(overdue); reject(new Error("The gateway has ended the operator's call.")); }
    };
    leg.addEventListener("state", look);
    look();
  });
}
