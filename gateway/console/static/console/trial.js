// SPDX-License-Identifier: GPL-3.0-or-later
// The call page in a panel beside what is edited: it calls that agent with the key of whoever is signed in.
import {make} from "./dom.js";

export class Trial {
  #content = make("div");
  element = make("section", {class: "card stack", id: "trial", hidden: true, aria: {label: "Try now"}}, make("h2", {text: "Try now"}),
    make("p", {class: "small quiet", text: "It calls the version that is in force; save first what is to be heard."}), this.#content);
  button = make("button", {type: "button", text: "Try now", aria: {expanded: "false", controls: "trial"}});

  constructor(agent) {
    this.button.addEventListener("click", () => {
      const opens = this.element.hidden;
      this.element.hidden = !opens;
      this.button.setAttribute("aria-expanded", String(opens));
      this.button.textContent = opens ? "End the trial" : "Try now";
      // Taken away, the page hangs up by itself.
      this.#content.replaceChildren(...(opens
        ? [make("iframe", {class: "trial", title: "Call " + agent, allow: "microphone; autoplay", src: "/call?agent=" + encodeURIComponent(agent)})] : []));
      if (opens) this.element.scrollIntoView({block: "nearest"});
    });
  }
}
