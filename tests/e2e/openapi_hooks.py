# SPDX-License-Identifier: GPL-3.0-or-later
"""Loaded by schemathesis (SCHEMATHESIS_HOOKS): leads what it makes up to calls that stand, and to nobody outside.

Every address that is dialled becomes the gateway's own, where a route lets it ring or echoes; four of five call ids
become those of live calls.
"""

import os
import random
import re
import time
from typing import Any

import httpx
import schemathesis

_API = httpx.Client(
    base_url=f"http://{os.environ['OPENAPI_HTTP']}/api/v1",
    headers={"Authorization": f"Bearer {os.environ['OPENAPI_KEY']}"},
    timeout=20,
)
_ADDRESSES = [f"sip:{user}@127.0.0.1:{os.environ['OPENAPI_SIP_PORT']}" for user in ("echo", "manual")]
_FEWEST, _MOST = 6, 12
"""Live calls, both legs counted."""
_CHANCE = random.Random(1)
_DIALLED = re.compile(r"[^\x00-\x1f\x7f]{1,512}")
_KNOWN_ONLY_HERE = frozenset(
    {
        *("no-such-agent", "unknown-language", "no-such-trunk", "no-such-voice", "bad-prompt", "bad-address"),
        *("url-refused", "bad-stream-order", "idempotency-conflict"),
    }
)
"""Refusals that no schema can foresee: they depend on the configuration, on files, on what was sent before."""
_ONLY_IN_WORDS = ("there is no cluster here", "it cannot be limited")
"""Likewise, of fields that contradict each other, or need a cluster."""


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    if isinstance(case.body, dict):
        to = case.body.get("to")
        if isinstance(to, str) and _DIALLED.fullmatch(to):
            case.body["to"] = _CHANCE.choice(_ADDRESSES)
    if isinstance((case.path_parameters or {}).get("call_id"), str) and _CHANCE.random() < 0.8:
        case.path_parameters["call_id"] = _CHANCE.choice(_live_calls())
    if isinstance((case.path_parameters or {}).get("campaign_id"), str) and _CHANCE.random() < 0.8:
        case.path_parameters["campaign_id"] = _campaign()
    if case.path.startswith("/api/v1/agents/"):  # others talk to the one that there is: who edits it gets nobody
        case.path_parameters["name"] = "receptionist" if case.method == "GET" else "nobody"


@schemathesis.serializer("application/sdp", "application/trickle-ice-sdpfrag")
def session_description(context: Any, value: Any) -> bytes:
    return str(value).encode("utf-8", "replace")


@schemathesis.hook
def filter_failure(context: Any, failure: Any, case: Any, response: Any) -> bool:
    """Whether it is one."""
    kind = type(failure).__name__
    if kind == "EnsureResourceAvailability":  # a call ends when its far end likes
        return False
    if kind == "RejectedPositiveData" and re.match("/api/v1/(campaigns|do-not-call|tokens|webrtc)", case.path):
        # Numbers, time zones, lists and session descriptions are more than a schema can say.
        return response.status_code not in (409, 412, 415, 422, 428)
    if kind == "RejectedPositiveData" and any(words in response.text for words in _ONLY_IN_WORDS):
        return False
    if kind == "RejectedPositiveData" and response.status_code == 422:
        return str(response.json()["type"]).removeprefix("urn:parley:problem:") not in _KNOWN_ONLY_HERE
    return True


def _campaign() -> str:
    """A draft, with nobody on its list."""
    return str(_API.post("/campaigns", json={"name": "made up"}).raise_for_status().json()["campaign_id"])


def _live_calls() -> list[str]:
    calls = _list()
    while len(calls) < _FEWEST:
        _API.post("/calls", json={"to": _CHANCE.choice(_ADDRESSES), "play": {"file": "tone.wav", "loop": 0}})
        calls = _list()
    for call_id in calls[_MOST:]:
        _API.post(f"/calls/{call_id}/hangup")
    return calls[:_MOST]


def _list() -> list[str]:
    while (answer := _API.get("/calls")).status_code == httpx.codes.TOO_MANY_REQUESTS:
        time.sleep(int(answer.headers["Retry-After"]))  # the requests of a fast machine share our key
    return [call["call_id"] for call in answer.raise_for_status().json()["calls"]]
