// SPDX-License-Identifier: GPL-3.0-or-later
// A recording: what is heard, drawn, caller above and we below, and one time with the transcript.
import {fetchBlob} from "./api.js";
import {button, duration, make} from "./dom.js";

const BARS = 1200;

export class Player {
  #audio = make("audio", {controls: true, aria: {label: "Recording"}});
  #canvas = make("canvas", {class: "waveform", role: "img", aria: {label: "The recording: the caller above, we below"}});
  #note = make("p", {class: "small quiet", role: "status"});
  #peaks = null;
  #begin_ms;
  #url = null;

  // `facts`: `recording_facts` of the session. `onTime(ms)`: where it plays, in milliseconds since the answer.
  constructor(path, facts, onTime) {
    this.#begin_ms = facts ? facts.started_ms : 0;
    const load = button("Load the recording", async () => { await this.#load(path); load.hidden = true; }, {class: "main"});
    this.element = make("div", {class: "stack"}, load, this.#note, this.#canvas, this.#audio);
    this.#canvas.hidden = this.#audio.hidden = true;
    if (facts && !facts.complete) this.#note.textContent = "It ended early, or has holes: the disk was full or too slow.";
    this.#audio.addEventListener("timeupdate", () => { onTime(this.#begin_ms + this.#audio.currentTime * 1000); this.#draw(); });
    this.#canvas.addEventListener("click", (event) => {
      const {left, width} = this.#canvas.getBoundingClientRect();
      if (this.#audio.duration) this.#audio.currentTime = (event.clientX - left) / width * this.#audio.duration;
    });
    this.#canvas.style.setProperty("cursor", "pointer");
  }

  // Play from here, in milliseconds since the answer.
  seek(ms) {
    if (!this.#url) return;
    this.#audio.currentTime = Math.max(0, (ms - this.#begin_ms) / 1000);
    this.#audio.play();
  }

  close() {
    this.#audio.pause();
    if (this.#url) URL.revokeObjectURL(this.#url);
  }

  async #load(path) {
    const blob = await fetchBlob(path);
    this.#url = URL.createObjectURL(blob);
    this.#audio.src = this.#url;
    this.#audio.hidden = false;
    const context = new OfflineAudioContext(2, 1, 16000);
    try {
      const decoded = await context.decodeAudioData(await blob.arrayBuffer());
      this.#peaks = [...Array(Math.min(2, decoded.numberOfChannels)).keys()].map((side) => peaksOf(decoded.getChannelData(side)));
      this.#canvas.hidden = false;
      this.#draw();
      this.#note.textContent = duration(decoded.duration * 1000) + ". Click a line of the transcript, or the waveform, to hear it.";
    } catch {
      this.#note.textContent = "This browser cannot draw it; it plays all the same.";
    }
  }

  #draw() {
    if (!this.#peaks) return;
    const width = this.#canvas.width = Math.round(this.#canvas.clientWidth * devicePixelRatio);
    const height = this.#canvas.height = Math.round(this.#canvas.clientHeight * devicePixelRatio);
    const pen = this.#canvas.getContext("2d"), style = getComputedStyle(this.#canvas), each = height / this.#peaks.length;
    this.#peaks.forEach((peaks, side) => {
      pen.fillStyle = style.getPropertyValue(side ? "--ours" : "--caller");
      peaks.forEach((peak, index) => {
        const bar = Math.max(1, peak * each * .95);
        pen.fillRect(index / peaks.length * width, side * each + (each - bar) / 2, Math.max(1, width / peaks.length), bar);
      });
    });
    if (!this.#audio.duration) return;
    pen.fillStyle = style.getPropertyValue("--text");
    pen.fillRect(this.#audio.currentTime / this.#audio.duration * width, 0, 2, height);
  }
}

function peaksOf(samples) {
  const step = Math.max(1, Math.floor(samples.length / BARS)), peaks = [];
  for (let at = 0; at < samples.length; at += step) {
    let peak = 0;
    for (let i = at; i < Math.min(at + step, samples.length); i += 4) peak = Math.max(peak, Math.abs(samples[i]));
    peaks.push(Math.min(1, Math.sqrt(peak))); // quiet speech is to be seen, too
  }
  return peaks;
}
