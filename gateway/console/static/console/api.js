// SPDX-License-Identifier: GPL-3.0-or-later
// The gateway's API with the key of whoever looks: requests, and the feed of events.

const API = "/api/v1";
const SLOT = "parley.key"; // of sessionStorage: gone with the tab
const FIRST_WAIT_MS = 500, LAST_WAIT_MS = 15000;

export class ApiError extends Error {
  // As RFC 9457 has it; `status` 0: the gateway does not answer.
  constructor(status, problem = {}) {
    super(problem.detail || problem.title || "the gateway answers " + status);
    this.status = status;
    this.title = problem.title || "";
    this.detail = problem.detail || "";
    this.errors = problem.errors || [];
  }
}

let refused = () => {}; // what happens when the key opens nothing

export const key = {
  get: () => sessionStorage.getItem(SLOT),
  set: (value) => sessionStorage.setItem(SLOT, value),
  forget: () => sessionStorage.removeItem(SLOT),
  whenRefused: (told) => { refused = told; },
};

// JSON, or null when there is none. `body`: an object. Throws `ApiError`; with 401 the page asks for another key.
export async function ask(path, {method = "GET", body, signal} = {}) {
  const response = await request(path, {
    method, signal,
    ...(body === undefined ? {} : {body: JSON.stringify(body), headers: {"Content-Type": "application/json"}}),
  });
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

// A file: a recording, a list of results.
export async function fetchBlob(path, {signal} = {}) {
  return (await request(path, {signal})).blob();
}

async function request(path, options) {
  const mine = key.get();
  let response;
  try {
    response = await fetch(API + path, {
      ...options, headers: {...options.headers, Authorization: "Bearer " + mine}, cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, {title: "The gateway does not answer"});
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({})); // not ours: a proxy's page, the status has to do
  if (response.status === 401 && mine === key.get()) refused();
  throw new ApiError(response.status, problem);
}

// A WebSocket of the gateway; a page can send no header with it, so the key is one of its subprotocols.
export function openSocket(path, protocol) {
  const bytes = new TextEncoder().encode(key.get() || "");
  const said = btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return new WebSocket(location.origin.replace(/^http/, "ws") + API + path, [protocol, "parley.key." + said]);
}

// What happens from now on (`after`: a cursor to begin with; 0: the oldest that is kept), without gaps over lost
// connections. `onEvents(events)`: a list. `onState(state, complete)`: "live", "lost" or "refused" (no scope for it);
// complete false: something was missed, look at everything again. Returns what ends it.
export function follow({kinds, call_id, batch_ms = 250, after} = {}, onEvents, onState = () => {}) {
  let cursor = after, socket = null, timer = 0, wait_ms = FIRST_WAIT_MS, isOver = false;

  function open() {
    const query = new URLSearchParams({batch_ms});
    if (kinds) query.set("kinds", kinds);
    if (call_id) query.set("call_id", call_id);
    if (cursor !== undefined) query.set("after", cursor);
    let isLive = false;
    socket = openSocket("/events?" + query, "parley.events");
    socket.onmessage = ({data}) => {
      const message = JSON.parse(data), events = Array.isArray(message) ? message : [message];
      const told = [];
      for (const event of events) {
        if (event.cursor !== undefined) cursor = event.cursor;
        if (event.kind === "feed.started") {
          isLive = true;
          wait_ms = FIRST_WAIT_MS;
          onState("live", event.complete);
        } else told.push(event);
      }
      if (told.length) onEvents(told);
    };
    socket.onclose = async () => {
      if (isOver) return;
      onState("lost", true);
      if (!isLive && await isRefused()) return;
      if (isOver) return;
      timer = setTimeout(open, wait_ms);
      wait_ms = Math.min(2 * wait_ms, LAST_WAIT_MS);
    };
  }

  // A browser does not say why a WebSocket was refused: ask in a way where it does.
  async function isRefused() {
    try {
      await ask("/events?limit=1" + (cursor === undefined ? "" : "&after=" + cursor));
    } catch (error) {
      if (error.status === 401 || error.status === 403) {
        if (!isOver) onState("refused", true);
        return true;
      }
    }
    return false;
  }

  open();
  return () => {
    isOver = true;
    clearTimeout(timer);
    socket.close();
  };
}
