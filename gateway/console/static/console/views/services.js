// SPDX-License-Identifier: GPL-3.0-or-later
// The speech and language services: health, latency, cost.
import {ask} from "../api.js";
import {make, milliseconds, percent, setText, words} from "../dom.js";
import {renew, table, tag} from "../table.js";

export const title = "Services";

const EVERY_MS = 5000;
const KIND = {ok: "good", failing: "bad", resting: "warn", idle: ""};
const ROLE = {stt: "speech to text", llm: "language model", tts: "text to speech", realtime: "speech to speech"};
const COLUMNS = [
  {name: "Service", cell: (one) => [one.name, make("div", {class: "small quiet", text: ROLE[one.role] + (one.kind === one.name ? "" : ", " + words(one.kind))})]},
  {name: "State", cell: (one) => tag(one.state, KIND[one.state])},
  {name: "Requests", class: "number wide", cell: (one) => one.requests.toLocaleString()},
  {name: "Failed", class: "number wide", cell: (one) => (one.requests ? percent(one.failures / one.requests) : "–")},
  {name: "First news", class: "number", cell: (one) => [make("div", {title: "p50", text: milliseconds(one.latency_ms.p50)}),
    one.latency_ms.p95 === null ? null : make("div", {class: "small quiet", text: "p95 " + milliseconds(one.latency_ms.p95)})]},
  {name: "Used", class: "wide", cell: (one) => Object.entries(one.usage).filter(([, value]) => value).map(([unit, value]) => make("div", {text: used(unit, value)}))},
  {name: "Cost", class: "number", cell: (one) => (one.cost === null ? make("span", {class: "quiet", text: one.kind === "local" ? "–" : "no price"}) : one.cost.toFixed(4))},
  {name: "Agents", class: "wide", cell: (one) => one.used_by.join(", ") || "–"},
];
const UNITS = {audio_s: "s of audio", prompt: "tokens given", cached: "of them remembered", completion: "tokens written", characters: "characters"};

function used(unit, value) { return Math.round(value).toLocaleString() + " " + (UNITS[unit] || words(unit)); }

export async function show(root, _, {signal, fail}) {
  const list = make("div"), costs = make("p", {class: "quiet"});
  root.append(make("div", {class: "head"}, make("h1", {text: title})), costs, list);

  async function look() {
    const {services} = await ask("/services", {signal});
    const priced = services.filter((one) => one.cost !== null);
    costs.hidden = !services.length;
    setText(costs, "Since the gateway began" + (priced.length
      ? ": " + priced.reduce((sum, one) => sum + one.cost, 0).toFixed(4) + " in all, by [services.NAME.price]." : "."));
    renew(list, table("Services", COLUMNS, services,
      "All agents work with the offline engines on this machine: nothing is sent anywhere, and nothing costs. Latency has their times."));
  }

  await look();
  const timer = setInterval(() => look().catch((error) => error.name !== "AbortError" && fail(error)), EVERY_MS);
  return () => clearInterval(timer);
}
