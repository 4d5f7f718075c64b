// SPDX-License-Identifier: GPL-3.0-or-later
// One agent: what it is told to be, in versions. What somebody has typed is never lost: not by a conflict, not by leaving.
import {ask} from "../api.js";
import {askText, button, clock, confirmAction, make, toast} from "../dom.js";
import {tag} from "../table.js";

export const title = "Agent";

const NOTE_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,60}\.md$/;

export async function show(root, {id}, {signal}) {
  const path = "/agents/" + encodeURIComponent(id);
  let agent = await ask(path, {signal}), notes = {...agent.notes};
  const state = make("p", {class: "row"}), stale = make("p", {class: "warn", role: "status"});
  const prompt = make("textarea", {id: "prompt", rows: 9, maxLength: 40000});
  const greeting = make("textarea", {id: "greeting", rows: 2, maxLength: 2000});
  const why = make("input", {id: "why", maxLength: 500, autocomplete: "off"});
  const documents = make("div", {class: "stack"}), versions = make("div", {class: "stack"});
  const save = button("Save as a new version", store, {class: "main"});
  const card = (text, ...content) => make("section", {class: "card stack", aria: {label: text}}, make("h2", {text}), ...content);

  root.append(
    make("div", {class: "head"}, make("h1", {text: id}),
      make("a", {class: "button", href: "/call?agent=" + encodeURIComponent(id), target: "_blank", rel: "noopener", text: "Try now"})),
    state, stale,
    make("div", {class: "two"},
      make("div", {class: "stack"},
        card("Words",
          make("label", {htmlFor: "greeting", text: "Greeting"}), greeting,
          make("label", {htmlFor: "prompt", text: "Prompt"}), prompt,
          ...(agent.llm === "local" && agent.realtime === "off"
            ? [make("p", {class: "small quiet", text: "This agent’s language model is the offline one: it answers from the knowledge, word for word, and does not read the prompt."})] : [])),
        card("Knowledge", documents),
        make("div", {class: "card row"}, make("label", {htmlFor: "why", text: "Why"}), make("div", {class: "grow"}, why), save,
          button("Discard changes", async () => { if (!isChanged() || await confirmAction("Discard what you have changed?")) take(agent); }))),
      card("Versions", versions)));

  function take(found) {
    agent = found;
    notes = {...found.notes};
    prompt.value = found.prompt;
    greeting.value = found.greeting;
    why.value = "";
    stale.textContent = "";
    state.replaceChildren(tag(found.version ? "version " + found.version : "as configured", "good"),
      make("span", {class: "quiet", text: found.edited_at ? "of " + clock(found.edited_at) + (found.note ? ": " + found.note : "") : ""}),
      ...(found.configured_anew ? [make("span", {class: "warn",
        text: "The configuration has been changed since; this version still holds. Restore version 0 to have what the configuration says."})] : []));
    drawDocuments();
  }

  function drawDocuments() {
    const read = agent.documents.filter((one) => !(one in agent.notes));
    documents.replaceChildren(
      make("p", {class: "small quiet", text: read.length ? "From the configuration: " + read.join(", ") + "." : "The configuration names no documents."}),
      ...Object.keys(notes).sort().map((name) => make("details", {open: Object.keys(notes).length === 1},
        make("summary", {text: name}),
        make("textarea", {rows: 8, value: notes[name], maxLength: 40000, aria: {label: name}, oninput: (event) => { notes[name] = event.target.value; }}),
        button("Remove " + name, () => { delete notes[name]; drawDocuments(); }, {class: "danger"}))),
      button("Add a note", async () => {
        const name = await askText("A document of this agent’s knowledge, in Markdown: headings are topics.", {label: "File name", value: "notes.md", pattern: NOTE_NAME.source});
        if (name === null) return;
        if (!NOTE_NAME.test(name)) throw new Error("A name is letters, digits, - and _, then .md");
        notes[name] = notes[name] || "# Topic\n\n## Question?\n\nAnswer.\n";
        drawDocuments();
      }));
  }

  function isChanged() {
    return prompt.value !== agent.prompt || greeting.value !== agent.greeting || JSON.stringify(sorted(notes)) !== JSON.stringify(sorted(agent.notes));
  }

  async function store() {
    if (!isChanged()) { toast("Nothing is changed."); return; }
    const changed = {};
    for (const [name, text] of Object.entries(notes)) if (agent.notes[name] !== text) changed[name] = text;
    for (const name of Object.keys(agent.notes)) if (!(name in notes)) changed[name] = null;
    const body = {base_version: agent.version, prompt: prompt.value, greeting: greeting.value, notes: changed, note: why.value.trim()};
    try {
      take(await ask(path, {method: "PUT", body}));
    } catch (error) {
      if (error.status !== 409) throw error;
      const newest = await ask(path);
      stale.textContent = "Somebody has saved version " + newest.version + " meanwhile. Your text is still here: compare it with "
        + "that version, on the side, then save again, which puts yours over it.";
      agent = {...newest, notes: {...newest.notes}};
      await drawVersions();
      return;
    }
    toast("In force with the next call.", "good");
    await drawVersions();
  }

  async function drawVersions() {
    const {versions: found} = await ask(path + "/versions");
    versions.replaceChildren(...found.map((one, index) => {
      const content = make("div", {class: "stack"});
      return make("details", {ontoggle: async (event) => {
        if (!event.target.open || content.firstChild) return;
        const whole = await ask(path + "/versions/" + one.version);
        content.append(compared("Greeting", whole.greeting, greeting.value), compared("Prompt", whole.prompt, prompt.value),
          ...Object.entries(whole.notes).map(([name, text]) => compared(name, text, notes[name] || "")),
          ...(index ? [button("Restore version " + one.version, async () => {
            if (!await confirmAction("Make version " + one.version + " the one in force, from the next call on?", {yes: "Restore", danger: false})) return;
            take(await ask(path + "/versions/" + one.version + "/restore", {method: "POST"}));
            await drawVersions();
          })] : []));
      }}, make("summary", {}, "Version " + one.version + (index ? "" : ", in force") + (one.at ? ", " + clock(one.at) : ""), one.note ? " – " + one.note : ""), content);
    }));
  }

  take(agent);
  await drawVersions();
  const warn = (event) => { if (isChanged()) event.preventDefault(); };
  window.addEventListener("beforeunload", warn);
  return () => {
    window.removeEventListener("beforeunload", warn);
    if (isChanged()) toast("What you had changed of " + id + " was not saved.", "bad");
  };
}

function sorted(map) { return Object.fromEntries(Object.entries(map).sort()); }

// An old text beside the one in the form: what is only there is struck out, what is only here underlined, line by line.
function compared(name, old, now) {
  const was = old.split("\n"), is = now.split("\n");
  const lines = [...was.map((text) => (is.includes(text) ? make("div", {text: text || " "}) : make("div", {}, make("del", {text: text || " "})))),
    ...is.filter((text) => !was.includes(text)).map((text) => make("div", {}, make("ins", {text: text || " "})))];
  return make("div", {}, make("h3", {text: name}), make("div", {class: "small compared"}, lines));
}
