// SPDX-License-Identifier: GPL-3.0-or-later
// Where every millisecond of a response went: a bar for each turn, all on one scale, and below it each segment from
// where it begins to where it ends.
import {make, milliseconds} from "./dom.js";

// The segments in their order, and what they are.
export const SEGMENTS = {
  arrival: "Arrival: network and jitter buffer",
  endpointing: "End of turn: deciding that the caller has finished",
  stt_final: "Speech recognition: the final text",
  llm_first_token: "Language model: its first word",
  first_clause: "First clause: enough words to speak",
  tts_first_byte: "Voice: its first sound",
  first_sample_written: "Queueing: converted to the call's rate",
  first_packet_sent: "Sending: the first audible packet",
};
const SHORT = {
  arrival: "arrival", endpointing: "end of turn", stt_final: "recognition", llm_first_token: "model", first_clause: "clause",
  tts_first_byte: "voice", first_sample_written: "queueing", first_packet_sent: "sending",
};

export function segmentName(name) { return SHORT[name] || name.replaceAll("_", " "); }

// The value that so large a share of them does not exceed (nearest rank); null: there are none.
export function percentile(values, share) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}

// A bar of segments one after the other. `scale_ms`: how long the whole width is.
export function segmentBar(segments_ms, scale_ms) {
  const bar = make("div", {class: "segments", aria: {hidden: "true"}});
  for (const [name, ms] of Object.entries(segments_ms)) {
    if (ms <= 0) continue;
    const part = make("div", {class: "segment " + name, title: segmentName(name) + " " + milliseconds(ms)});
    part.style.setProperty("width", 100 * ms / Math.max(scale_ms, 1) + "%");
    bar.append(part);
  }
  return bar;
}

export function legend() {
  return make("ul", {class: "legend small"}, Object.keys(SEGMENTS).map((name) =>
    make("li", {title: SEGMENTS[name]}, make("span", {class: "segment " + name, aria: {hidden: "true"}}), segmentName(name))));
}

export class Waterfall {
  #list = make("ol", {class: "turns"});
  #none = make("p", {class: "quiet", text: "No turn has been measured yet."});
  #facts = make("dl", {class: "facts"});
  #turns = new Map(); // index -> {turn, element}
  #newest = null; // what was opened by us, not by somebody
  #scale_ms = 0;

  constructor() {
    this.element = make("div", {class: "stack waterfall"}, this.#facts, legend(), this.#none, this.#list);
  }

  // A measured turn, as events and sessions have it; the same one again says more of it.
  add(turn) {
    const before = this.#turns.get(turn.index);
    const known = {...(before && before.turn), ...turn};
    const element = this.#makeTurn(known);
    if (before) {
      element.open = before.element.open;
      before.element.parentElement.replaceChildren(element);
    } else {
      this.#list.prepend(make("li", {}, element));
      if (this.#newest) this.#newest.open = false;
      element.open = true;
    }
    if (!before || before.element === this.#newest) this.#newest = element;
    this.#turns.set(turn.index, {turn: known, element});
    this.#rescale();
    this.#tell();
  }

  #makeTurn(turn) {
    const tags = [turn.speculative && "begun early", turn.interrupted && "caller broke in"].filter(Boolean);
    const details = make("details", {data: {turn: turn.index}},
      make("summary", {},
        make("span", {class: "turn-name"}, "Turn " + (turn.index + 1), " ", make("b", {text: milliseconds(turn.response_ms)})),
        tags.map((text) => make("span", {class: "tag small", text})),
        segmentBar(turn.segments_ms, this.#scale_ms || turn.response_ms)),
      this.#makeSteps(turn));
    details.querySelector("summary").addEventListener("click", () => {
      if (this.#newest === details) this.#newest = null;
    });
    return details;
  }

  #makeSteps(turn) {
    let begin_ms = 0;
    const whole_ms = Math.max(turn.response_ms, 1);
    const rows = Object.entries(turn.segments_ms).map(([name, ms]) => {
      const part = make("div", {class: "segment " + name});
      part.style.setProperty("margin-left", 100 * begin_ms / whole_ms + "%");
      part.style.setProperty("width", 100 * ms / whole_ms + "%");
      begin_ms += ms;
      return make("tr", {},
        make("th", {scope: "row", text: segmentName(name), title: SEGMENTS[name] || name}),
        make("td", {class: "track"}, part), make("td", {class: "number", text: milliseconds(ms)}));
    });
    return make("table", {class: "steps"},
      make("caption", {class: "unseen", text: "Segments of turn " + (turn.index + 1)}),
      make("thead", {class: "unseen"}, make("tr", {}, ["Segment", "When", "Length"].map((text) => make("th", {scope: "col", text})))),
      make("tbody", {}, rows));
  }

  #rescale() {
    const longest_ms = Math.max(...[...this.#turns.values()].map(({turn}) => turn.response_ms));
    if (longest_ms === this.#scale_ms) return;
    this.#scale_ms = longest_ms;
    for (const {turn, element} of this.#turns.values()) {
      element.querySelector(".segments").replaceWith(segmentBar(turn.segments_ms, longest_ms));
    }
  }

  #tell() {
    this.#none.hidden = true;
    const turns = [...this.#turns.values()].map(({turn}) => turn);
    const responses = turns.map((turn) => turn.response_ms);
    const own = turns.map((turn) => turn.own_ms).filter((ms) => ms !== undefined);
    const facts = [["Turns", turns.length], ["p50", milliseconds(percentile(responses, .5))], ["p90", milliseconds(percentile(responses, .9))],
      ["p95", milliseconds(percentile(responses, .95))], ["longest", milliseconds(Math.max(...responses))]];
    if (own.length) facts.push(["Parley’s own share, p95", milliseconds(percentile(own, .95))]);
    this.#facts.replaceChildren(...facts.map(([name, value]) => make("div", {}, make("dt", {text: name}), make("dd", {text: value}))));
  }
}
