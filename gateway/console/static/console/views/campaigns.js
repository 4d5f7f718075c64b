// SPDX-License-Identifier: GPL-3.0-or-later
// Campaigns: how far they are, what came of it, and what an operator may do.
import {ask, follow} from "../api.js";
import {button, confirmAction, make, percent, setText, words} from "../dom.js";
import {download} from "../download.js";

export const title = "Campaigns";

const EVERY_MS = 5000;
const BUTTONS = { // what an operator may do, by state
  draft: ["start"], running: ["pause", "drain", "cancel"], paused: ["resume", "drain", "cancel"], draining: ["cancel"],
};
const NAMES = {start: "Start", pause: "Pause", resume: "Resume", drain: "Drain…", cancel: "Cancel…"};
const ASKED = { // before it cannot be undone
  drain: "Call nobody else, ever? Calls that stand go on.",
  cancel: "End it now? Calls that ring are ended, nobody else is called.",
};
const KIND = {running: "good", paused: "warn", draining: "warn", cancelled: "bad"};

export async function show(root, _, {signal, fail}) {
  const shown = new Map(), list = make("div", {class: "stack"});
  const none = make("p", {class: "card none", text: "There are no campaigns. Begin one: parley campaign run LIST.csv --campaign POLICY.toml"});
  root.append(make("div", {class: "head"}, make("h1", {text: title})), none, list);

  function draw(campaign) {
    const id = campaign.campaign_id;
    let row = shown.get(id);
    if (!row) {
      row = {state: null, tag: make("span"), bar: make("progress", {aria: {label: "Contacts done of " + campaign.name}}), details: make("p"), buttons: make("div", {class: "row"})};
      row.element = make("section", {class: "card stack", aria: {label: campaign.name}},
        make("div", {class: "row"}, make("h2", {text: campaign.name}), row.tag, make("span", {class: "small quiet", text: id})), row.bar, row.details, row.buttons);
      shown.set(id, row);
      list.append(row.element);
    }
    row.campaign = campaign;
    row.bar.max = Math.max(1, campaign.progress.contacts);
    row.bar.value = campaign.progress.done;
    setText(row.details, details(campaign));
    if (row.state === campaign.state) return; // or the button under somebody's finger would be replaced every second
    row.state = campaign.state;
    row.tag.className = "tag " + (KIND[campaign.state] || "");
    row.tag.textContent = campaign.state;
    row.buttons.replaceChildren(
      ...(BUTTONS[campaign.state] || []).map((verb) => button(NAMES[verb], () => act(id, verb), {class: verb === "cancel" ? "danger" : ""})),
      button("Results", () => download(path(id) + "/results?format=csv", id + ".csv")), button("Report", () => download(path(id) + "/report", id + ".html")));
  }

  async function act(id, verb) {
    if (ASKED[verb] && !await confirmAction(ASKED[verb], {yes: NAMES[verb].replace("…", "")})) return;
    draw(await ask(path(id) + "/" + verb, {method: "POST"}));
  }

  async function look() {
    const {campaigns} = await ask("/campaigns", {signal});
    const there = new Set(campaigns.map((one) => one.campaign_id));
    for (const [id, row] of shown) if (!there.has(id)) { row.element.remove(); shown.delete(id); }
    campaigns.forEach(draw);
    // Newest first, as the gateway has them; moving what is in its place already would take the focus away.
    campaigns.forEach((one, index) => {
      const element = shown.get(one.campaign_id).element;
      if (list.children[index] !== element) list.insertBefore(element, list.children[index] || null);
    });
    none.hidden = campaigns.length > 0;
  }

  await look();
  const again = () => look().catch((error) => error.name !== "AbortError" && fail(error));
  const timer = setInterval(again, EVERY_MS);
  const stop = follow({kinds: "campaign.*"}, (events) => {
    let isStale = false;
    for (const {kind, data} of events) {
      const row = shown.get(data.campaign_id);
      if (kind === "campaign.progress" && row) {
        const {campaign_id, ...progress} = data;
        draw({...row.campaign, progress: {...row.campaign.progress, ...progress}});
      } else if (kind !== "campaign.outcome") isStale = true;
    }
    if (isStale) again();
  });
  return () => { clearInterval(timer); stop(); };
}

function path(id) { return "/campaigns/" + encodeURIComponent(id); }

function details(campaign) {
  const p = campaign.progress, said = [p.done + " of " + p.contacts + " done", p.dialing + " dialing, " + p.talking + " talking"];
  const outcomes = Object.entries(p.outcomes).filter(([, count]) => count).sort((a, b) => b[1] - a[1]);
  if (outcomes.length) said.push(outcomes.map(([name, count]) => count + " " + words(name)).join(", "));
  if (p.answer_rate !== null) said.push(percent(p.answer_rate) + " answered");
  if (p.contact_rate !== null) said.push(percent(p.contact_rate) + " people");
  if (p.abandoned) said.push(p.abandoned + " abandoned");
  if (p.cost) said.push("cost " + p.cost.toFixed(2));
  if (p.eta_s !== null && campaign.state === "running" && p.done < p.contacts) said.push("about " + lasting(p.eta_s) + " left");
  const next = p.next_at === null ? null : new Date(p.next_at);
  if (next !== null && next > new Date() && !p.dialing && !p.talking && campaign.state === "running") said.push("next call " + next.toLocaleString());
  if (campaign.end_reason) said.push(words(campaign.end_reason));
  return said.join("; ");
}

function lasting(seconds) {
  if (seconds < 90) return Math.round(seconds) + " s";
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? minutes + " min" : Math.floor(minutes / 60) + " h " + String(minutes % 60).padStart(2, "0") + " min";
}
