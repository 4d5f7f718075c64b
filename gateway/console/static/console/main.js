// SPDX-License-Identifier: GPL-3.0-or-later
// The console: who looks says a key, then the address after # chooses the view.
import {ApiError, ask, key} from "./api.js";
import {button, explain, make, toast} from "./dom.js";
import {WorkLines} from "./work.js";

const PLACES = [
  ["calls", "Calls"], ["latency", "Latency"], ["sessions", "Sessions"], ["campaigns", "Campaigns"],
  ["trunks", "Trunks"], ["agents", "Agents"], ["services", "Services"], ["settings", "Settings"],
];
const ONE_OF = {calls: "call", sessions: "session", agents: "agent"}; // the view of one thing, by the place of all

let shown = null; // {leave, abort} of the view that is there
let turn = 0; // of views: one that comes too late is not shown
let isFirst = true;

const main = make("main", {id: "view", tabIndex: -1});
const work = new WorkLines();
const toasts = make("div", {id: "toasts", role: "status", aria: {live: "polite"}});

function begin() {
  key.whenRefused(() => {
    key.forget();
    showSignIn("Your key opens nothing any more: it was revoked, or it has expired. Sign in with another one.");
  });
  if (key.get()) showConsole();
  else showSignIn();
}

function showSignIn(complaint = "") {
  leave();
  work.end();
  document.title = "Sign in – Parley";
  const field = make("input", {
    type: "password", id: "key", autocomplete: "off", required: true, spellcheck: false, aria: {describedby: "key-hint"},
  });
  const said = make("p", {class: "bad", role: "alert", id: "complaint", text: complaint});
  const submit = make("button", {class: "main", text: "Sign in"});
  const form = make("form", {class: "card stack", onsubmit: signIn},
    make("label", {htmlFor: "key", text: "API key"}), field, said, submit,
    make("div", {id: "key-hint", class: "small quiet stack"},
      make("p", {}, "Where to find one: ", make("code", {text: "parley serve"}), " prints the key of its embedded default, or says where it lies; ",
        "others stand in the configuration under ", make("code", {text: "http.api_keys"}), ", or come from ",
        make("code", {text: "parley keys add"}), "."),
      make("p", {text: "It stays in this tab until you sign out or close it."})));

  async function signIn(event) {
    event.preventDefault();
    const given = field.value.trim();
    submit.disabled = true;
    said.textContent = "";
    key.set(given);
    key.whenRefused(() => {}); // said here, below
    try {
      await ask("/calls");
    } catch (error) {
      // 403: it is a key, with other scopes; the views say which they need.
      if (!(error instanceof ApiError) || error.status !== 403) {
        key.forget();
        said.textContent = error.status === 401
          ? "This key is wrong, has expired or was revoked. Copy it again, whole; or ask whoever runs the gateway for "
            + "a new one (parley keys add)."
          : explain(error) + ". Try again in a moment.";
        submit.disabled = false;
        field.select();
        field.focus();
        return;
      }
    }
    begin();
  }

  document.body.replaceChildren(
    make("div", {class: "sign-in"},
      make("header", {}, make("h1", {text: "Parley"})),
      make("main", {}, form)), toasts);
  field.focus();
}

function showConsole() {
  isFirst = true;
  const links = PLACES.map(([name, title]) =>
    make("li", {}, make("a", {href: "#/" + name, text: title, data: {place: name}})));
  document.body.replaceChildren(
    make("a", {class: "skip", href: "#view", text: "Skip to the content", onclick: (event) => { event.preventDefault(); main.focus(); }}),
    make("header", {class: "bar"},
      make("a", {class: "brand", href: "#/calls", text: "Parley"}),
      make("nav", {aria: {label: "Console"}}, make("ul", {}, links)),
      button("Sign out", () => { key.forget(); showSignIn(); }, {class: "flat"})),
    work.element, main, toasts);
  work.begin();
  showView();
}

async function showView() {
  leave();
  const [, place = "", id = ""] = location.hash.split("/");
  const known = PLACES.find(([name]) => name === place);
  if (!known) {
    history.replaceState(null, "", "#/calls");
    await showView();
    return;
  }
  for (const link of document.querySelectorAll(".bar nav a")) {
    if (link.dataset.place === place) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const current = document.querySelector(".bar nav a[aria-current]");
  if (current) current.scrollIntoView({block: "nearest", inline: "nearest"});
  const mine = ++turn, abort = new AbortController();
  const root = make("div", {class: "view " + (id ? ONE_OF[place] || place : place)});
  shown = {leave: () => {}, abort};
  main.replaceChildren(root);
  try {
    const view = await import("./views/" + (id && ONE_OF[place] ? ONE_OF[place] : place) + ".js");
    if (mine !== turn) return;
    document.title = view.title + " – Parley";
    const context = {signal: abort.signal, fail: (error) => { if (mine === turn) showFault(root, error); }};
    const left = await view.show(root, {id: decodeURIComponent(id)}, context);
    if (mine === turn) shown.leave = left || (() => {});
    else if (left) left();
  } catch (error) {
    if (mine === turn && error.name !== "AbortError") showFault(root, error);
  }
  if (mine === turn) focusHeading(root);
}

// Where a screen reader goes on after the way to another view; not at the first one.
function focusHeading(root) {
  const heading = root.querySelector("h1"), was = isFirst;
  isFirst = false;
  if (!heading || was) return;
  heading.tabIndex = -1;
  heading.focus({preventScroll: true});
  window.scrollTo(0, 0);
}

function showFault(root, error) {
  if (error.status === 401) return; // signs in again
  const what = error.status === 403
    ? ["This key may not see this", explain(error) + ". Sign in with a key that has this scope."]
    : error.status === 404
      ? ["There is nothing here (any more)", explain(error)]
      : ["This cannot be shown", explain(error)];
  root.replaceChildren(make("h1", {text: what[0]}), make("p", {text: what[1]}),
    make("div", {class: "row"}, button("Try again", () => showView())));
  if (!(error instanceof ApiError)) console.error(error);
}

function leave() {
  turn += 1;
  if (!shown) return;
  const {leave: left, abort} = shown;
  shown = null;
  abort.abort();
  try {
    left();
  } catch (error) {
    toast(explain(error), "bad");
  }
}

window.addEventListener("hashchange", () => { if (key.get()) showView(); });
begin();
