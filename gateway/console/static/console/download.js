// SPDX-License-Identifier: GPL-3.0-or-later
// A file of the API, saved: a link could not say the key.
import {fetchBlob} from "./api.js";
import {make} from "./dom.js";

const KEPT_MS = 60000;

export async function download(path, name) {
  const url = URL.createObjectURL(await fetchBlob(path));
  make("a", {href: url, download: name}).click();
  setTimeout(() => URL.revokeObjectURL(url), KEPT_MS);
}
