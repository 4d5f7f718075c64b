// SPDX-License-Identifier: GPL-3.0-or-later
// For a site of your own: <script src="https://GATEWAY/static/widget.js" data-agent="NAME" data-token-url="/your/endpoint"
// async></script>. A button that opens the call page in a frame. docs/browser.md has the rest.
"use strict";
(() => {
  const script = document.currentScript, gateway = new URL(script.src).origin, options = script.dataset;
  const events = new EventTarget();
  let frame = null, button = null, afterReady = null;

  function make(tag, style, attributes) {
    const made = document.createElement(tag);
    Object.assign(made.style, style);
    for (const [name, value] of Object.entries(attributes || {})) made.setAttribute(name, value);
    return made;
  }

  // A page token, from the site's own server: {"token": "..."}; without data-token-url the agent is open to everybody.
  async function token() {
    if (!options.tokenUrl) return null;
    const response = await fetch(options.tokenUrl, {method: "POST", credentials: "same-origin"});
    if (!response.ok) throw new Error("parley: " + options.tokenUrl + " answers " + response.status);
    return (await response.json()).token;
  }

  function open() {
    if (frame) return;
    const query = new URLSearchParams({embed: "1", ...(options.agent ? {agent: options.agent} : {})});
    frame = make("iframe", {
      position: "fixed", right: "1rem", bottom: "5rem", width: "min(24rem, calc(100vw - 2rem))", height: "min(36rem, calc(100vh - 7rem))",
      border: "1px solid #8886", borderRadius: "1rem", zIndex: 2147483000, background: "Canvas",
    }, {src: gateway + "/call?" + query, allow: "microphone; autoplay", title: options.title || "Call us"});
    document.body.append(frame);
    if (button) button.setAttribute("aria-expanded", "true");
  }

  function close() {
    if (!frame) return;
    frame.remove(); // the call in it is hung up
    frame = null;
    if (button) button.setAttribute("aria-expanded", "false");
  }

  async function send(message) {
    const given = await token();
    frame.contentWindow.postMessage({...message, ...(given ? {parley_token: given} : {})}, gateway);
  }

  window.addEventListener("message", async ({source, origin, data}) => {
    if (!frame || source !== frame.contentWindow || origin !== gateway || !data || typeof data.parley !== "string") return;
    if (data.parley === "ready") {
      const message = afterReady || {parley: "hello"};
      afterReady = null;
      try { await send(message); } catch (error) { events.dispatchEvent(new CustomEvent("failed", {detail: {message: error.message}})); }
    } else {
      const {parley, ...detail} = data;
      events.dispatchEvent(new CustomEvent(parley, {detail}));
      if (parley === "ended" && frame) send({parley: "hello"}).catch(() => {}); // a fresh token for the next call
    }
  });

  if (options.button !== "none") {
    button = make("button", {
      position: "fixed", right: "1rem", bottom: "1rem", zIndex: 2147483001, font: "600 1rem system-ui, sans-serif",
      padding: ".8rem 1.2rem", borderRadius: "2rem", border: "0", background: "#0b5cad", color: "#fff", cursor: "pointer",
    }, {type: "button", "aria-expanded": "false"});
    button.textContent = options.label || "Call us";
    button.addEventListener("click", () => (frame ? close() : open()));
    const add = () => document.body.append(button);
    if (document.body) add(); else addEventListener("DOMContentLoaded", add);
  }

  // open(), close(), call() (a visitor must have clicked something), hangUp(), events: started, ended, status, failed.
  window.Parley = {
    open, close, events,
    call() { if (frame) send({parley: "call"}); else { afterReady = {parley: "call"}; open(); } },
    hangUp() { if (frame) frame.contentWindow.postMessage({parley: "hang_up"}, gateway); },
  };
})();
