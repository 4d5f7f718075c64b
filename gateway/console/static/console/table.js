// SPDX-License-Identifier: GPL-3.0-or-later
// A table of things that do not change by themselves.
import {make} from "./dom.js";

// `columns`: {name, cell(thing) -> node or text, class ("number", "wide")}; the first names the row.
export function table(caption, columns, things, none) {
  if (!things.length) return make("p", {class: "card none", text: none});
  return make("div", {class: "scroll", tabIndex: 0, role: "region", aria: {label: caption}},
    make("table", {}, make("caption", {class: "unseen", text: caption}),
      make("thead", {}, make("tr", {}, columns.map((one) => make("th", {scope: "col", class: one.class, text: one.name})))),
      make("tbody", {}, things.map((thing) => make("tr", {}, columns.map((one, index) =>
        make(index ? "td" : "th", {...(index ? {} : {scope: "row"}), class: one.class}, one.cell(thing))))))));
}

// A newer table in the place of the one before, which stays when it says the same: focus and scrolling are kept.
export function renew(place, made) {
  const old = place.firstElementChild;
  if (old && old.isEqualNode(made)) return;
  const hadFocus = old !== null && old === document.activeElement, left = old ? old.scrollLeft : 0;
  place.replaceChildren(made);
  made.scrollLeft = left;
  if (hadFocus) made.focus({preventScroll: true});
}

// A word with a colour; never the colour alone.
export function tag(text, kind = "") { return make("span", {class: "tag " + kind, text}); }
