// SPDX-License-Identifier: GPL-3.0-or-later
// An old text beside a new one, line by line: what is only in the old one is struck out, what is only in the new one underlined.
import {make} from "./dom.js";

const MOST_CELLS = 4_000_000; // of the table below: beyond, what differs is shown as one block

export function compared(name, old, now) {
  const steps = differences(old.split("\n"), now.split("\n"));
  const isSame = steps.every(([kind]) => kind === "both");
  const lines = steps.map(([kind, text]) => make("div", {}, kind === "both" ? text || " " : make(kind === "old" ? "del" : "ins", {text: text || " "})));
  return make("div", {}, make("h3", {}, name, isSame ? make("span", {class: "small quiet", text: " – the same"}) : null),
    make("div", {class: "small compared", tabIndex: 0, role: "group", aria: {label: name + ", compared"}}, lines));
}

// ["both" | "old" | "new", line] in reading order, by the longest common subsequence.
export function differences(old, now) {
  let begin = 0, oldEnd = old.length, nowEnd = now.length;
  while (begin < oldEnd && begin < nowEnd && old[begin] === now[begin]) begin += 1;
  while (oldEnd > begin && nowEnd > begin && old[oldEnd - 1] === now[nowEnd - 1]) { oldEnd -= 1; nowEnd -= 1; }
  const both = (line) => ["both", line];
  return [...old.slice(0, begin).map(both), ...middle(old.slice(begin, oldEnd), now.slice(begin, nowEnd)), ...old.slice(oldEnd).map(both)];
}

function middle(old, now) {
  const across = now.length + 1;
  if (old.length * across > MOST_CELLS) return [...old.map((line) => ["old", line]), ...now.map((line) => ["new", line])];
  const longest = new Uint32Array((old.length + 1) * across); // common lines from here to both ends
  for (let row = old.length - 1; row >= 0; row--) {
    for (let column = now.length - 1; column >= 0; column--) {
      longest[row * across + column] = old[row] === now[column] ? longest[(row + 1) * across + column + 1] + 1
        : Math.max(longest[(row + 1) * across + column], longest[row * across + column + 1]);
    }
  }
  const steps = [];
  let row = 0, column = 0;
  while (row < old.length || column < now.length) {
    if (row < old.length && column < now.length && old[row] === now[column]) { steps.push(["both", old[row]]); row += 1; column += 1; }
    else if (column === now.length || (row < old.length && longest[(row + 1) * across + column] >= longest[row * across + column + 1])) {
      steps.push(["old", old[row]]);
      row += 1;
    } else { steps.push(["new", now[column]]); column += 1; }
  }
  return steps;
}
