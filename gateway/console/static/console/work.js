// SPDX-License-Identifier: GPL-3.0-or-later
// What takes a while on the gateway, and how far it is: a line for each under the navigation, as long as it goes on.
import {ask, follow} from "./api.js";
import {make, setText, toast, words} from "./dom.js";

const KINDS = {
  knowledge: "Indexing the knowledge of", campaign_list: "Reading the list of", phrases: "Rendering phrases of",
  engines: "Loading the offline models",
};
const BATCH_MS = 1000;

export class WorkLines {
  element = make("section", {class: "work", aria: {label: "Work under way"}, hidden: true});
  #lines = new Map(); // id -> {line, text, bar}
  #stop = () => {};

  begin() {
    this.end();
    this.#stop = follow({kinds: "work.progress", batch_ms: BATCH_MS}, (events) => events.forEach(({data}) => this.#take(data)),
      (state) => { if (state === "live") this.#load(); });
  }

  end() {
    this.#stop();
    this.#stop = () => {};
    for (const id of [...this.#lines.keys()]) this.#remove(id);
  }

  async #load() {
    try {
      const {work} = await ask("/work");
      const running = work.filter((one) => one.state === "running");
      for (const id of [...this.#lines.keys()]) if (!running.some((one) => one.id === id)) this.#remove(id);
      running.forEach((one) => this.#take(one));
    } catch { /* the views tell what is wrong; this tells what goes on */ }
  }

  #take(work) {
    if (work.state !== "running") {
      if (work.state === "failed" && this.#lines.has(work.id)) toast(title(work) + " has failed: " + work.detail, "bad");
      this.#remove(work.id);
      return;
    }
    const known = this.#lines.get(work.id) || this.#make(work);
    setText(known.text, [title(work), amount(work), work.detail].filter(Boolean).join(" · "));
    known.bar.hidden = !work.total; // one without an end would be drawn anew all the time
    known.bar.max = work.total || 1;
    known.bar.value = work.done;
  }

  #make(work) {
    const text = make("span"), bar = make("progress", {aria: {label: title(work)}});
    const made = {line: make("div", {class: "row small"}, text, bar), text, bar};
    this.#lines.set(work.id, made);
    this.element.append(made.line);
    this.element.hidden = false;
    return made;
  }

  #remove(id) {
    const known = this.#lines.get(id);
    if (!known) return;
    known.line.remove();
    this.#lines.delete(id);
    this.element.hidden = this.#lines.size === 0;
  }
}

function title(work) {
  return [KINDS[work.kind] || words(work.kind), work.kind === "engines" ? "" : work.name].filter(Boolean).join(" ");
}

function amount({done, total, unit}) {
  const number = (value) => value.toLocaleString();
  return (total === null ? number(done) : number(done) + " of " + number(total)) + " " + unit;
}
