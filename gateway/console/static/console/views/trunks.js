// SPDX-License-Identifier: GPL-3.0-or-later
// The connections to providers and PBXs: registration, servers, alarms.
import {ask, follow} from "../api.js";
import {make, words} from "../dom.js";
import {renew, table, tag} from "../table.js";

export const title = "Trunks";

const EVERY_MS = 10000;
const COLUMNS = [
  {name: "Trunk", cell: (one) => [one.name, make("div", {class: "narrow small quiet", text: one.host})]},
  {name: "State", cell: (one) => (one.is_up ? tag("up", "good") : tag("down", "bad"))},
  {name: "Registration", cell: (one) => (!one.registers ? "not needed" : one.registered === null ? tag("trying", "warn")
    : one.registered ? tag("registered", "good") : tag("refused", "bad"))},
  {name: "Host", class: "wide", cell: (one) => one.host + (one.profile ? " (" + one.profile + ")" : "")},
  {name: "Servers", class: "wide", cell: (one) => (one.servers.length
    ? one.servers.map((server) => make("div", {}, server.address, " ", server.is_up ? tag("answers", "good") : tag("silent", "bad"))) : "not asked yet")},
  {name: "Calls", class: "number", cell: (one) => one.calls + (one.max_calls ? " of " + one.max_calls : "")},
  {name: "Minutes today", class: "number wide", cell: (one) => String(one.minutes_today)},
  {name: "Alarms", cell: (one) => (one.alarms.length ? one.alarms.map((alarm) => tag(words(alarm), "bad")) : "none")},
];

export async function show(root, _, {signal, fail}) {
  const list = make("div");
  root.append(make("div", {class: "head"}, make("h1", {text: title})), list);

  async function look() {
    const {trunks} = await ask("/trunks", {signal});
    renew(list, table("Trunks", COLUMNS, trunks,
      "There are no trunks: calls come by SIP address and from browsers only. In the configuration: [[trunk]], docs/trunks.md"));
  }

  await look();
  const again = () => look().catch((error) => error.name !== "AbortError" && fail(error));
  const timer = setInterval(again, EVERY_MS);
  const stop = follow({kinds: "trunk.*"}, again);
  return () => { clearInterval(timer); stop(); };
}
