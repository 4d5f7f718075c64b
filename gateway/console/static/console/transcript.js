// SPDX-License-Identifier: GPL-3.0-or-later
// What is said on a call, as it is said: partials, what was cut off, and what else happened between.
import {duration, make, setText} from "./dom.js";

const NEAR_PX = 60; // of its end: whoever reads there wants to go on with it

export class Transcript {
  #list = make("ol", {class: "transcript", tabIndex: 0, aria: {label: "Transcript"}});
  #empty = make("li", {class: "note", text: "Nothing has been said yet."});
  #partial = null;
  #seen = new Set();

  constructor() { this.#list.append(this.#empty); }

  get element() { return this.#list; }

  // An entry of a transcript; the same one again is none.
  add(entry) {
    const name = entry.role + " " + entry.started_ms;
    if (this.#seen.has(name)) return;
    this.#seen.add(name);
    if (entry.role === "user") this.#clearPartial();
    const text = make("p", {class: "said"});
    const heard = entry.interrupted ? entry.heard_text : null;
    if (heard === null || heard === undefined || heard === entry.text) text.append(entry.text);
    else {
      text.append(heard);
      const rest = entry.text.startsWith(heard) ? entry.text.slice(heard.length) : entry.text;
      if (rest.trim()) text.append(" ", make("s", {title: "Not heard: the caller broke in", text: rest.trim()}));
    }
    this.#append(make("li", {class: entry.role},
      make("div", {class: "who small"}, entry.role === "user" ? "Caller" : entry.role === "assistant" ? "Agent" : entry.role,
        " ", make("time", {class: "quiet", text: duration(entry.started_ms)}),
        entry.interrupted && make("span", {class: "tag warn", text: "caller broke in"})),
      text));
  }

  // What the caller's turn sounds like so far.
  hear(text) {
    if (!this.#partial) {
      const said = make("p", {class: "said"});
      this.#partial = make("li", {class: "user partial"}, make("div", {class: "who small", text: "Caller …"}), said);
      this.#append(this.#partial);
    }
    const isAtEnd = this.#isAtEnd();
    setText(this.#partial.lastChild, text);
    if (isAtEnd) this.#list.scrollTop = this.#list.scrollHeight;
  }

  // Something else that happened.
  note(text, at_ms) {
    this.#append(make("li", {class: "note small"}, text, " ",
      at_ms === undefined ? null : make("time", {class: "quiet", text: duration(at_ms)})));
  }

  #clearPartial() {
    if (this.#partial) this.#partial.remove();
    this.#partial = null;
  }

  #append(item) {
    const isAtEnd = this.#isAtEnd();
    this.#empty.remove();
    this.#list.append(item);
    if (this.#partial && item !== this.#partial) this.#list.append(this.#partial);
    if (isAtEnd) this.#list.scrollTop = this.#list.scrollHeight;
  }

  #isAtEnd() { return this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < NEAR_PX; }
}
