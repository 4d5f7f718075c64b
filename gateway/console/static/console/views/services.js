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
  {name: "Service", cell: (one) => one.name},
  {name: "Role", cell: (one) => ROLE[one.role]},
  {name: "State", cell: (one) => tag(one.state, KIND[one.state])},
  {name: "Kind", class: "wide", cell: (one) => one.kind},
  {name: "Requests", class: "number", cell: (one) => one.requests.toLocaleString()},
  {name: "Failed", class: "number", cell: (one) => (one.requests ? percent(one.failures / one.requests) : "–")},
  {name: "First news p50", class: "number", cell: (one) => milliseconds(one.latency_ms.p50)},
  {name: "p95", class: "number wide", cell: (one) => milliseconds(one.latency_ms.p95)},
  {name: "Used", class: "wide", cell: (one) => Object.entries(one.usage).filter(([, value]) => value)
    .map(([unit, value]) => Math.round(value).toLocaleString() + " " + (unit === "audio_s" ? "s of audio" : words(unit))).join(", ") || "–"},
  {name: "Cost", class: "number", cell: (one) => (one.cost === null ? "no price set" : one.cost.toFixed(4))},
  {name: "Agents", class: "wide", cell: (one) => one.used_by.join(", ") || "–"},
];

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
