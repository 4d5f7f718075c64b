// SPDX-License-Identifier: GPL-3.0-or-later
// What is said, both sides, as it is understood; the agent's lines cut where the caller broke in.
import {offeredKey} from "/static/webrtc.js";

const AGAIN_MS = 1000;

// Follows the events of one's own call. `onEnded(reason)`: the call is over there. Returns how to stop.
export function follow(list, callId, bearer, onEnded) {
  let socket = null, isOver = false, cursor = 0, partial = null;

  function line(role, text) {
    const made = document.createElement("li");
    made.className = role;
    const who = document.createElement("span");
    who.className = "unseen";
    who.textContent = role === "user" ? "You: " : "Agent: ";
    made.append(who, text);
    return made;
  }

  function show(event) {
    if (event.kind === "transcript.partial") {
      if (!partial) list.append(partial = line("user partial", ""));
      partial.lastChild.textContent = event.data.text;
    } else if (event.kind === "transcript.final") {
      const {role, text, interrupted, heard_text} = event.data;
      if (role === "user" && partial) { partial.remove(); partial = null; }
      const heard = interrupted && heard_text !== null ? heard_text : text;
      const made = line(role, heard);
      if (interrupted && text.startsWith(heard)) {
        const unheard = document.createElement("s");
        unheard.textContent = text.slice(heard.length);
        unheard.title = "not said: you broke in";
        made.append(unheard);
      }
      if (partial) list.insertBefore(made, partial); else list.append(made);
    } else if (event.kind === "call.ended") {
      isOver = true;
      onEnded(event.data.reason);
      return;
    } else {
      return;
    }
    list.scrollTop = list.scrollHeight;
  }

  function open() {
    const address = location.origin.replace(/^http/, "ws") + "/api/v1/webrtc/calls/" + encodeURIComponent(callId) + "/events";
    socket = new WebSocket(address, ["parley.events", offeredKey(bearer)]);
    socket.onmessage = ({data}) => {
      const event = JSON.parse(data);
      if (event.kind === "feed.started" || event.cursor <= cursor) return; // seen before the feed broke off
      cursor = event.cursor;
      show(event);
    };
    socket.onclose = () => { if (!isOver) setTimeout(() => { if (!isOver) open(); }, AGAIN_MS); };
  }

  open();
  return () => { isOver = true; socket.close(); if (partial) partial.remove(); };
}
