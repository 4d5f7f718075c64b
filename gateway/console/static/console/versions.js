// SPDX-License-Identifier: GPL-3.0-or-later
// What an agent was told before: each version beside what stands in the form, and the way back to it.
import {ask} from "./api.js";
import {compared} from "./difference.js";
import {button, clock, confirmAction, explain, make, toast} from "./dom.js";

export class Versions {
  element = make("div", {class: "stack"});
  #path; #form; #isChanged; #taken;

  // `form()`: {prompt, greeting, notes} as they stand there; `isChanged()`: not saved; `taken(agent)`: another one is in force.
  constructor(path, form, isChanged, taken) {
    this.#path = path;
    this.#form = form;
    this.#isChanged = isChanged;
    this.#taken = taken;
  }

  async load() {
    const {versions} = await ask(this.#path + "/versions");
    this.element.replaceChildren(...versions.map((one, index) => this.#line(one, index === 0)));
  }

  #line(version, isInForce) {
    const content = make("div", {class: "stack"});
    const said = ["Version " + version.version + (isInForce ? ", in force" : ""), version.at && clock(version.at), version.note].filter(Boolean).join(" – ");
    return make("details", {ontoggle: ({target}) => { if (target.open) this.#compare(version, isInForce, content); }}, make("summary", {text: said}), content);
  }

  // Each time that it is opened: the form may have been changed meanwhile.
  async #compare(version, isInForce, content) {
    try {
      const old = await ask(this.#path + "/versions/" + version.version), now = this.#form();
      const files = [...new Set([...Object.keys(old.notes), ...Object.keys(now.notes)])].sort();
      content.replaceChildren(
        make("p", {class: "small quiet"}, "Struck out: only in that version. Underlined: only in the form", version.by ? ". Saved with the key " + version.by : "", "."),
        compared("Greeting", old.greeting, now.greeting), compared("Prompt", old.prompt, now.prompt),
        ...files.map((name) => compared(name, old.notes[name] || "", now.notes[name] || "")),
        ...(isInForce ? [] : [button("Restore version " + version.version, () => this.#restore(version.version))]));
    } catch (error) {
      toast(explain(error), "bad");
    }
  }

  async #restore(number) {
    const lost = this.#isChanged() ? " What you have changed in the form and not saved is discarded." : "";
    if (!await confirmAction("Make version " + number + " the one in force, from the next call on?" + lost, {yes: "Restore", danger: Boolean(lost)})) return;
    this.#taken(await ask(this.#path + "/versions/" + number + "/restore", {method: "POST"}));
    toast("In force with the next call.", "good");
    await this.load();
  }
}
