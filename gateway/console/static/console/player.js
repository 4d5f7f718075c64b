// SPDX-License-Identifier: GPL-3.0-or-later
// A recording: what is heard, drawn, caller above and we below, and one time with the transcript.
import {fetchBlob} from "./api.js";
import {button, duration, make} from "./dom.js";

const BARS = 1200;

export class Player {
  #audio = make("audio", {controls: true, hidden: true, aria: {label: "Recording"}});
  #canvas = make("canvas", {class: "waveform recorded", role: "img", aria: {label: "The recording: the caller above, we below"}});
  #sides = [make("span", {class: "tag caller", text: "Caller"}), make("span", {class: "tag ours", text: "We"})];
  #drawing = make("div", {class: "stack", hidden: true}, make("div", {class: "row"}, this.#sides), this.#canvas);
  #note = make("p", {class: "small quiet", role: "status"});
  #load = button("Load the recording", () => this.#fetch(), {class: "main"});
  #resized = new ResizeObserver(() => this.#draw());
  #path; #facts;
  #fetched = null; // the promise of it
  #peaks = null;
  #url = null;
  #isOver = false;

  // `facts`: `recording_facts` of the session. `onTime(ms)`: where it plays, in milliseconds since the answer.
  constructor(path, facts, onTime) {
    this.#path = path;
    this.#facts = facts || {started_ms: 0, complete: true}; // none: the gateway was killed meanwhile
    this.element = make("div", {class: "stack"}, this.#load, this.#drawing, this.#audio, this.#note);
    this.#say("");
    this.#audio.addEventListener("timeupdate", () => {
      onTime(this.#facts.started_ms + this.#audio.currentTime * 1000);
      this.#draw();
    });
    this.#canvas.addEventListener("click", (event) => {
      const {left, width} = this.#canvas.getBoundingClientRect();
      if (this.#audio.duration) this.#audio.currentTime = (event.clientX - left) / width * this.#audio.duration;
    });
    this.#resized.observe(this.#canvas);
  }

  // Play from here, in milliseconds since the answer; fetched first if it has to be.
  async seek(ms) {
    await this.#fetch();
    if (this.#isOver) return;
    this.#audio.currentTime = Math.max(0, (ms - this.#facts.started_ms) / 1000);
    await this.#audio.play();
  }

  close() {
    this.#isOver = true;
    this.#resized.disconnect();
    this.#audio.pause();
    if (this.#url) URL.revokeObjectURL(this.#url);
  }

  #fetch() {
    this.#fetched ??= this.#show().catch((error) => { this.#fetched = null; throw error; });
    return this.#fetched;
  }

  async #show() {
    const blob = await fetchBlob(this.#path);
    if (this.#isOver) return;
    this.#url = URL.createObjectURL(blob);
    this.#audio.src = this.#url;
    this.#audio.hidden = false;
    this.#load.hidden = true;
    try {
      const decoded = await new OfflineAudioContext(2, 1, 16000).decodeAudioData(await blob.arrayBuffer());
      this.#peaks = [...Array(Math.min(2, decoded.numberOfChannels)).keys()].map((side) => peaksOf(decoded.getChannelData(side)));
      this.#drawing.hidden = false;
      this.#draw();
      this.#say(duration(decoded.duration * 1000) + ". Press a line of the transcript, or click the waveform, to hear it from there.");
    } catch {
      this.#say("This browser cannot draw it; it plays all the same.");
    }
  }

  #say(text) {
    this.#note.textContent = [text, this.#facts.complete ? "" : "It ended early, or has holes: the disk was full or too slow."].filter(Boolean).join(" ");
  }

  #draw() {
    if (!this.#peaks || !this.#canvas.clientWidth) return;
    const width = this.#canvas.width = Math.round(this.#canvas.clientWidth * devicePixelRatio);
    const height = this.#canvas.height = Math.round(this.#canvas.clientHeight * devicePixelRatio);
    const pen = this.#canvas.getContext("2d"), each = height / this.#peaks.length;
    this.#peaks.forEach((peaks, side) => {
      // A colour of light-dark() is computed on the tags only: canvas knows plain colours.
      pen.fillStyle = getComputedStyle(this.#sides[side]).borderTopColor;
      peaks.forEach((peak, index) => {
        const bar = Math.max(1, peak * each * .95);
        pen.fillRect(index / peaks.length * width, side * each + (each - bar) / 2, Math.max(1, width / peaks.length), bar);
      });
    });
    if (!this.#audio.duration) return;
    pen.fillStyle = getComputedStyle(this.#canvas).color;
    pen.fillRect(this.#audio.currentTime / this.#audio.duration * width, 0, 2 * devicePixelRatio, height);
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
