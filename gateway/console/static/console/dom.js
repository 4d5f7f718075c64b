// SPDX-License-Identifier: GPL-3.0-or-later
// Elements, and how times and shares are written. Text only ever becomes text: much of it was said by strangers.

const SVG = "http://www.w3.org/2000/svg";
const TOAST_MS = 6000;

// An element. `properties`: class, text, on... (functions: onclick), aria: {label: ...}, data: {id: ...}, properties of the
// element (disabled, value, hidden, type...), else attributes. Children: nodes, text, lists of them; null and false are none.
export function make(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

export function makeSvg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name === "class") element.setAttribute("class", value);
    else if (name === "text") element.textContent = value;
    else if (name === "aria") for (const [part, told] of Object.entries(value)) element.setAttribute("aria-" + part, told);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name.startsWith("on") && typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (name in element && !(element instanceof SVGElement)) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// A button that can be pressed once at a time; what `press` throws is shown.
export function button(text, press, properties = {}) {
  const made = make("button", {type: "button", text, ...properties});
  made.addEventListener("click", async () => {
    if (made.getAttribute("aria-busy") === "true") return;
    made.setAttribute("aria-busy", "true"); // not `disabled`: that would take the focus away
    try {
      await press(made);
    } catch (error) {
      if (error.name !== "AbortError") toast(explain(error), "bad");
    } finally {
      made.removeAttribute("aria-busy");
    }
  });
  return made;
}

// Change the text of an element only if it is another one: what stays costs no layout.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// 3:07, 1:02:45
export function duration(ms) {
  if (ms === null || ms === undefined) return "–";
  const seconds = Math.max(0, Math.floor(ms / 1000)), two = (number) => String(number).padStart(2, "0");
  const minutes = Math.floor(seconds / 60) % 60, hours = Math.floor(seconds / 3600);
  return hours ? hours + ":" + two(minutes) + ":" + two(seconds % 60) : minutes + ":" + two(seconds % 60);
}

const TIME = new Intl.DateTimeFormat(undefined, {hour: "2-digit", minute: "2-digit", second: "2-digit"});
const DAY = new Intl.DateTimeFormat(undefined, {dateStyle: "medium"});

// The time of day; before it the date, unless that is today.
export function clock(iso) {
  if (!iso) return "–";
  const at = new Date(iso);
  const time = TIME.format(at);
  return at.toDateString() === new Date().toDateString() ? time : DAY.format(at) + ", " + time;
}

export function percent(share) {
  if (share === null || share === undefined) return "–";
  const hundredths = 100 * share;
  return (hundredths > 0 && hundredths < 10 ? hundredths.toFixed(1) : Math.round(hundredths)) + " %";
}

export function milliseconds(value) {
  if (value === null || value === undefined) return "–";
  return (value > 0 && value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString()) + " ms";
}

// `first_clause` as people write it.
export function words(name) { return String(name).replaceAll("_", " "); }

// What went wrong, in a sentence or two.
export function explain(error) {
  const fields = (error.errors || []).map((one) => one.field.replace(/^body\./, "") + ": " + one.detail);
  if (fields.length) return fields.join("; ");
  return error.detail || error.title || error.message || String(error);
}

// Whether somebody wants that. `yes`: what the button says; `danger`: it cannot be undone.
export async function confirmAction(text, {yes = "Yes", danger = true} = {}) {
  return (await askInDialog(text, null, yes, danger)) !== null;
}

// What somebody writes, or null. `label`: of the field; further properties are its own (placeholder, value, pattern).
export function askText(text, {label, yes = "Go on", ...field}) {
  return askInDialog(text, make("input", {type: "text", required: true, autocomplete: "off", id: "dialog-field", ...field}), yes, false, label);
}

function askInDialog(text, field, yes, danger, label) {
  const form = make("form", {method: "dialog", class: "stack"},
    make("p", {text, id: "dialog-text"}),
    field && make("label", {class: "stack"}, make("span", {text: label}), field),
    make("div", {class: "row end"},
      make("button", {type: "button", text: "Cancel", onclick: () => dialog.close("")}),
      make("button", {class: danger ? "danger" : "main", text: yes, value: "yes"})));
  const dialog = make("dialog", {aria: {labelledby: "dialog-text"}}, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes" ? (field ? field.value.trim() : "") : null);
    });
  });
}

// Something to know, said once, also to screen readers. `kind`: "good", "bad" or nothing.
export function toast(text, kind = "") {
  const place = document.getElementById("toasts");
  if (!place) return;
  const shown = make("p", {class: "toast " + kind, text});
  place.append(shown);
  while (place.children.length > 3) place.firstChild.remove();
  setTimeout(() => shown.remove(), TOAST_MS + 40 * text.length);
}
