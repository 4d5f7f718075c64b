// SPDX-License-Identifier: GPL-3.0-or-later
// One agent: what it is told to be, in versions. What somebody has typed is not lost: not by a conflict, not by looking elsewhere.
import {ask, key} from "../api.js";
import {askText, button, clock, confirmAction, make, toast} from "../dom.js";
import {tag} from "../table.js";
import {Trial} from "../trial.js";
import {Versions} from "../versions.js";

export const title = "Agent";

const NOTE_NAME = /^[A-Za-z0-9][A-Za-z0-9_\-]{0,60}\.md$/; // \-: the browser reads it with the flag v
const drafts = new Map(); // key and agent -> {base, prompt, greeting, notes, why}: typed, not saved, and left
let isUnsaved = () => false;

window.addEventListener("beforeunload", (event) => { if (drafts.size || isUnsaved()) event.preventDefault(); });

export async function show(root, {id}, {signal}) {
  const path = "/agents/" + encodeURIComponent(id), slot = key.get() + " " + id;
  let agent = await ask(path, {signal}), notes = {}, added = null;
  const state = make("p", {class: "row"}), stale = make("p", {class: "warn", role: "status"});
  const prompt = make("textarea", {id: "prompt", rows: 9, maxLength: 40000});
  const greeting = make("textarea", {id: "greeting", rows: 2, maxLength: 2000});
  const why = make("input", {id: "why", maxLength: 500, autocomplete: "off"});
  const documents = make("div", {class: "stack"});
  const trial = new Trial(id);
  const versions = new Versions(path, () => ({prompt: prompt.value, greeting: greeting.value, notes}), isChanged, take);
  const card = (text, ...content) => make("section", {class: "card stack", aria: {label: text}}, make("h2", {text}), ...content);

  root.append(
    make("div", {class: "head"}, make("h1", {text: id}), trial.button),
    state,
    make("div", {class: "two"},
      make("div", {class: "stack"},
        card("Words",
          make("label", {htmlFor: "greeting", text: "Greeting"}), greeting,
          make("label", {htmlFor: "prompt", text: "Prompt"}), prompt,
          ...(agent.llm === "local" && agent.realtime === "off"
            ? [make("p", {class: "small quiet", text: "This agent’s language model is the offline one: it answers from the knowledge, word for word, and does not read the prompt."})] : [])),
        card("Knowledge", documents),
        make("section", {class: "card stack", aria: {label: "Saving"}}, stale,
          make("label", {class: "stack"}, make("span", {text: "Why, for those who read the versions"}), why),
          make("div", {class: "row"}, button("Save as a new version", store, {class: "main"}), button("Discard changes", discard)))),
      make("div", {class: "stack"}, trial.element, card("Versions", versions.element))));

  function take(found) {
    agent = found;
    notes = {...found.notes};
    added = null;
    prompt.value = found.prompt;
    greeting.value = found.greeting;
    why.value = "";
    stale.textContent = "";
    draw();
  }

  function draw() {
    state.replaceChildren(tag(agent.version ? "version " + agent.version : "as configured", "good"),
      make("span", {class: "quiet", text: agent.edited_at ? "of " + clock(agent.edited_at) + (agent.note ? ": " + agent.note : "") : ""}),
      ...(agent.configured_anew ? [make("span", {class: "warn",
        text: "The configuration has been changed since; this version still holds. Restore version 0 to have what the configuration says."})] : []));
    drawDocuments();
  }

  function drawDocuments() {
    const read = agent.documents.filter((one) => !(one in agent.notes)), names = Object.keys(notes).sort();
    documents.replaceChildren(
      make("p", {class: "small quiet", text: read.length ? "From the configuration: " + read.join(", ") + "." : "The configuration names no documents."}),
      ...names.map((name) => make("details", {open: names.length === 1 || name === added},
        make("summary", {text: name}),
        make("div", {class: "stack"},
          make("textarea", {rows: 8, value: notes[name], maxLength: 40000, aria: {label: name}, oninput: (event) => { notes[name] = event.target.value; }}),
          button("Remove " + name, () => { delete notes[name]; drawDocuments(); }, {class: "danger"})))),
      button("Add a note", addNote));
  }

  async function addNote() {
    const name = await askText("A document of this agent’s knowledge, in Markdown: headings are topics.", {label: "File name", value: "notes.md", pattern: NOTE_NAME.source});
    if (name === null) return;
    if (!NOTE_NAME.test(name)) throw new Error("A name is letters, digits, - and _, then .md");
    notes[name] ??= "# Topic\n\n## Question?\n\nAnswer.\n";
    added = name;
    drawDocuments();
    documents.querySelector(`textarea[aria-label="${name}"]`).focus();
  }

  // What is to be sent: only what is another than it was. {}: nothing.
  function changes() {
    const changed = {};
    if (prompt.value !== agent.prompt) changed.prompt = prompt.value;
    if (greeting.value !== agent.greeting) changed.greeting = greeting.value;
    const edited = names(notes, agent.notes).filter((name) => notes[name] !== agent.notes[name]);
    if (edited.length) changed.notes = Object.fromEntries(edited.map((name) => [name, notes[name] ?? null]));
    return changed;
  }

  function isChanged() { return Object.keys(changes()).length > 0; }

  async function store() {
    if (!isChanged()) { toast("Nothing is changed."); return; }
    try {
      take(await ask(path, {method: "PUT", body: {base_version: agent.version, ...changes(), note: why.value.trim()}}));
    } catch (error) {
      if (error.status !== 409) throw error;
      meet(await ask(path));
      await versions.load();
      return;
    }
    toast("In force with the next call.", "good");
    await versions.load();
  }

  async function discard() {
    if (isChanged() && !await confirmAction("Discard what you have changed?", {yes: "Discard"})) return;
    take(await ask(path));
    await versions.load();
  }

  // Somebody else's version has come between: what only he has changed comes in, what both have changed stays as it is here.
  function meet(newest) {
    const before = agent, both = [];
    const merge = (name, mine, was, theirs) => {
      if (mine === was || mine === theirs) return theirs;
      if (theirs !== was) both.push(name);
      return mine;
    };
    greeting.value = merge("greeting", greeting.value, before.greeting, newest.greeting);
    prompt.value = merge("prompt", prompt.value, before.prompt, newest.prompt);
    const merged = names(notes, before.notes, newest.notes).map((name) => [name, merge(name, notes[name], before.notes[name], newest.notes[name])]);
    notes = Object.fromEntries(merged.filter(([, text]) => text !== undefined));
    agent = newest;
    draw();
    stale.textContent = "Somebody has saved version " + newest.version + " meanwhile. Your text is still here, and not saved yet. " + (both.length
      ? "Both of you have changed: " + both.join(", ") + ". Compare with version " + newest.version + " among the versions; save again to put yours over it."
      : "What that version changed is other than what you did, and has come in here. Save again to have both.");
  }

  take(agent);
  const draft = drafts.get(slot);
  if (draft) {
    const newest = agent;
    drafts.delete(slot);
    take(draft.base);
    ({notes} = draft);
    prompt.value = draft.prompt;
    greeting.value = draft.greeting;
    why.value = draft.why;
    draw();
    if (newest.version !== agent.version) meet(newest);
    else stale.textContent = "What you changed before is still here, and not saved yet.";
  }
  isUnsaved = isChanged;
  await versions.load();
  return () => {
    isUnsaved = () => false;
    if (!isChanged()) return;
    drafts.set(slot, {base: agent, prompt: prompt.value, greeting: greeting.value, notes, why: why.value});
    toast("What you have changed of " + id + " is not saved. You find it there again, as long as this page is open.");
  };
}

function names(...maps) { return [...new Set(maps.flatMap(Object.keys))].sort(); }
