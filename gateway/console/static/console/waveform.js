// SPDX-License-Identifier: GPL-3.0-or-later
// How loud both sides are, as they are: the caller above the line, we below it.
import {openSocket} from "./api.js";
import {make, setText} from "./dom.js";

const SHOWN_MS = 20000, QUIET_DBOV = -60;
const SPEECH_DBOV = -45, HANGOVER_MS = 400; // a pause within a word is no silence
const AGAIN_MS = 2000, MOST_TRIES = 3;

export class Waveform {
  #canvas = make("canvas", {class: "waveform", role: "img", aria: {label: "Loudness of the last 20 seconds: the caller above, we below"}});
  #caller = make("span", {class: "tag caller", text: "Caller: –"});
  #ours = make("span", {class: "tag ours", text: "We: –"});
  #line = make("span", {class: "small quiet"});
  #steps = []; // {at_ms, caller, ours, caller_speaks, we_speak}, the newest last
  #step_ms = 40;
  #loudAt_ms = {caller: -Infinity, ours: -Infinity};
  #marks = []; // when the caller broke in, since the answer
  #socket = null; #timer = 0; #frame = 0; #tries = 0; #isOver = false; #path = "";
  #resized = new ResizeObserver(() => this.#plan());

  constructor() {
    this.element = make("div", {class: "stack"}, this.#canvas,
      make("div", {class: "row", data: {talk: ""}}, this.#caller, this.#ours, this.#line));
    this.#resized.observe(this.#canvas);
  }

  begin(callId) {
    this.#path = "/calls/" + encodeURIComponent(callId) + "/meter";
    this.#open();
  }

  mark(at_ms) {
    this.#marks.push(at_ms);
    this.#plan();
  }

  end() {
    this.#isOver = true;
    clearTimeout(this.#timer);
    cancelAnimationFrame(this.#frame);
    this.#resized.disconnect();
    if (this.#socket) this.#socket.close();
    setText(this.#caller, "Caller: –");
    setText(this.#ours, "We: –");
  }

  #open() {
    this.#socket = openSocket(this.#path, "parley.meter");
    this.#socket.onmessage = ({data}) => {
      this.#tries = 0;
      setText(this.#line, "");
      this.#take(JSON.parse(data));
    };
    this.#socket.onclose = () => {
      if (this.#isOver) return;
      this.#tries += 1;
      if (this.#tries > MOST_TRIES) setText(this.#line, "The meter does not answer.");
      else this.#timer = setTimeout(() => this.#open(), AGAIN_MS);
    };
  }

  // {at_ms: since the answer, step_ms, caller, ours: [dBov of each step, up to now]}
  #take({at_ms, step_ms, caller, ours}) {
    this.#step_ms = step_ms;
    const count = Math.max(caller.length, ours.length);
    let last = null;
    for (let back = count - 1; back >= 0; back--) {
      last = {at_ms: at_ms - back * step_ms, caller: caller.at(-1 - back) ?? -127, ours: ours.at(-1 - back) ?? -127};
      last.caller_speaks = this.#speaks("caller", last);
      last.we_speak = this.#speaks("ours", last);
      this.#steps.push(last);
    }
    const begin_ms = at_ms - SHOWN_MS - 1000;
    while (this.#steps.length && this.#steps[0].at_ms < begin_ms) this.#steps.shift();
    this.#marks = this.#marks.filter((mark_ms) => mark_ms > begin_ms);
    if (last) {
      this.#say(this.#caller, "Caller", last.caller_speaks);
      this.#say(this.#ours, "We", last.we_speak);
    }
    this.#plan();
  }

  #speaks(side, step) {
    if (step[side] > SPEECH_DBOV) this.#loudAt_ms[side] = step.at_ms;
    return step.at_ms - this.#loudAt_ms[side] < HANGOVER_MS;
  }

  #say(tag, name, speaks) {
    setText(tag, name + (speaks ? ": speaking" : ": listening"));
    tag.classList.toggle("speaks", speaks);
  }

  #plan() {
    if (this.#frame || document.hidden) return;
    this.#frame = requestAnimationFrame(() => { this.#frame = 0; this.#draw(); });
  }

  #draw() {
    const canvas = this.#canvas, ratio = window.devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
    const style = getComputedStyle(canvas), pen = canvas.getContext("2d");
    pen.clearRect(0, 0, width, height);
    pen.fillStyle = style.borderTopColor;
    pen.fillRect(0, height / 2 - ratio / 2, width, ratio);
    if (!this.#steps.length) return;
    const end_ms = this.#steps[this.#steps.length - 1].at_ms;
    const x = (at_ms) => width * (1 - (end_ms - at_ms) / SHOWN_MS);
    const step = width * this.#step_ms / SHOWN_MS;
    const half = height / 2 - 2 * ratio;
    // A colour of light-dark() is computed on the tags only: canvas knows plain colours.
    const callers = getComputedStyle(this.#caller).borderTopColor, ours = getComputedStyle(this.#ours).borderTopColor;
    for (const one of this.#steps) {
      const left = x(one.at_ms) - step, bar = Math.max(ratio, step - ratio);
      const up = half * share(one.caller), down = half * share(one.ours);
      pen.globalAlpha = one.caller_speaks ? 1 : 0.45;
      pen.fillStyle = callers;
      pen.fillRect(left, height / 2 - up, bar, up);
      pen.globalAlpha = one.we_speak ? 1 : 0.45;
      pen.fillStyle = ours;
      pen.fillRect(left, height / 2, bar, down);
    }
    pen.globalAlpha = 1;
    pen.fillStyle = getComputedStyle(this.#line).color;
    pen.font = 11 * ratio + "px system-ui, sans-serif";
    for (const at_ms of this.#marks) {
      const at = x(at_ms);
      pen.fillRect(at, 0, ratio, height);
      pen.fillText("broke in", at + 3 * ratio, 11 * ratio);
    }
  }
}

function share(dbov) { return Math.max(0, Math.min(1, 1 - dbov / QUIET_DBOV)); }
