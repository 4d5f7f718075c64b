# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley call`: place a call through the gateway that runs, and tell how it went."""

import argparse
import json
import time
from typing import Any, get_args

import httpx

from gateway.commands.api import Subcommands, add_gateway, add_json, answer_of, calling_api
from gateway.commands.complaint import misused
from gateway.streams.messages import ProtocolName

_POLL_S = 0.5
_RECORD_S = 5.0


def add_commands(commands: Subcommands) -> None:
    """To those of `parley`."""
    call = commands.add_parser("call", help="place a call through the gateway that runs", description=_call.__doc__)
    call.add_argument("to", metavar="TO", help="SIP URI, or a number for the trunk")
    who = call.add_mutually_exclusive_group()
    who.add_argument("--agent", metavar="NAME", help="who talks (default: the only agent)")
    who.add_argument("--stream", metavar="URL", help="a backend in place of an agent: wss://...")
    who.add_argument("--play", metavar="FILE", help="a recording alone: in the gateway's media.prompts_dir, or a URL")
    call.add_argument("--protocol", choices=get_args(ProtocolName), help="that the backend speaks (default: parley)")
    call.add_argument("--profile", metavar="TRUNK", help="name of the trunk to go through")
    call.add_argument("--from", dest="from_", metavar="ADDRESS", help="our address as the far end sees it")
    call.add_argument("--timeout", type=float, default=60.0, metavar="S", help="how long it may ring (default 60)")
    add_gateway(call)
    add_json(call, "print the session as JSON")
    call.set_defaults(run=_call)


def _call(options: argparse.Namespace) -> int:
    """Place a call through the gateway that runs, wait for its end and print what was said. Exit code 0 when it was
    answered. Interrupting (Ctrl-C) hangs up."""
    with calling_api(options) as api:
        order = {
            "to": options.to,
            "from": options.from_,
            "profile": options.profile,
            **_purpose(options),
            "timeout_s": options.timeout,
        }
        placed = api.post("/calls", json={key: value for key, value in order.items() if value is not None})
        call_id = str(answer_of(placed)["call_id"])
        try:
            _wait_until_over(api, call_id)
        except KeyboardInterrupt:
            api.post(f"/calls/{call_id}/hangup")
            _wait_until_over(api, call_id)
        session = _ended_session(api, call_id)
    print(json.dumps(session) if options.json else _told(session))
    return 0 if session["answered_at"] else 1


def _purpose(options: argparse.Namespace) -> dict[str, Any]:
    """What the call is for, as `POST /calls` takes it."""
    if options.protocol is not None and options.stream is None:
        misused("--protocol is for --stream")
    if options.stream is not None:
        return {"stream": {"stream_url": options.stream, "protocol": options.protocol or "parley"}}
    if options.play is not None:
        source = "url" if options.play.startswith(("https://", "http://")) else "file"
        return {"play": {source: options.play}}
    return {"agent": options.agent}


def _wait_until_over(api: httpx.Client, call_id: str) -> None:
    while True:
        response = api.get(f"/calls/{call_id}")
        if response.status_code == httpx.codes.NOT_FOUND or answer_of(response)["state"] == "ended":
            return
        time.sleep(_POLL_S)


def _ended_session(api: httpx.Client, call_id: str) -> dict[str, Any]:
    """The record: it is complete a moment after the call is over."""
    deadline = time.monotonic() + _RECORD_S
    while True:
        session = answer_of(api.get(f"/sessions/{call_id}"))
        if session["ended_at"] or time.monotonic() > deadline:
            return session
        time.sleep(_POLL_S)


def _told(session: dict[str, Any]) -> str:
    answered = "answered" if session["answered_at"] else "not answered"
    lines = [f"{session['call_id']}: {answered}, ended: {session['end_reason']}"]
    for entry in session["transcript"]:
        text = entry["text"] if entry["heard_text"] is None else entry["heard_text"]
        lines.append(f"  {entry['role']}: {text}{' [interrupted]' if entry['interrupted'] else ''}")
    if session["recording"]:
        lines.append(f"  recording: {session['recording']}")
    return "\n".join(lines)
