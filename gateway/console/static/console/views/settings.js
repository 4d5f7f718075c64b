// SPDX-License-Identifier: GPL-3.0-or-later
import {make} from "../dom.js";

export const title = "Settings";

export function show(root) {
  root.append(make("h1", {text: title}));
}
