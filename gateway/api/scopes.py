# SPDX-License-Identifier: GPL-3.0-or-later
"""What a key may do: the scopes, and which of them each address needs, in one table.

An address that is not in the table needs `admin`: who adds a route and forgets this file has locked it, not opened it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

Scope = Literal[
    "calls:read", "calls:write", "streams", "sessions:read", "sessions:erase", "events", "campaigns", "audit", "admin"
]
"""calls:read: see calls. calls:write: place them and act on them. streams: connect calls to backends, and tokens for
it, calls placed with a stream or a flow included.
sessions:read: transcripts, recordings and what is remembered of callers. sessions:erase: delete them. events: the feed
and webhooks. campaigns: lists, policies, results, and the do-not-call list. audit: see the audit log,
which keys there are, and the settings. admin: everything, and the keys themselves."""

ALL_SCOPES: frozenset[Scope] = frozenset(get_args(Scope))

Role = Literal["viewer", "operator", "supervisor", "campaigner", "auditor"]
"""viewer: sees calls, sessions and events. operator: sees calls and events, places calls and acts on them. supervisor:
both, and streams. campaigner: campaigns, and sees calls. auditor: sees sessions, keys, settings and the audit log, and
changes nothing. The role `admin` is the scope of that name."""

ROLES: Mapping[Role, frozenset[Scope]] = {
    "viewer": frozenset({"calls:read", "sessions:read", "events"}),
    "operator": frozenset({"calls:read", "calls:write", "events"}),
    "supervisor": frozenset({"calls:read", "calls:write", "streams", "sessions:read", "events"}),
    "campaigner": frozenset({"campaigns", "calls:read"}),
    "auditor": frozenset({"sessions:read", "audit"}),
}

_READING = ("GET", "HEAD", "OPTIONS")

# Below the base path, None is every method; the first that matches is meant.
_TABLE: tuple[tuple[str, tuple[str, ...] | None, Scope], ...] = (
    (r"/calls/[^/]+/stream", None, "streams"),
    (r"/latency", _READING, "calls:read"),
    (r"/calls(/.*)?", _READING, "calls:read"),
    (r"/calls(/.*)?", None, "calls:write"),
    (r"/streams?(/.*)?", None, "streams"),
    (r"/tokens(/.*)?", None, "streams"),
    (r"/sessions/[^/]+/hold", ("POST", "DELETE"), "admin"),
    (r"/retention", _READING, "sessions:read"),
    (r"/erasures", ("POST",), "sessions:erase"),
    (r"/sessions(/.*)?", ("DELETE",), "sessions:erase"),
    (r"/sessions(/.*)?", _READING, "sessions:read"),
    (r"/memories", ("DELETE",), "sessions:erase"),
    (r"/memories", _READING, "sessions:read"),
    (r"/events(/.*)?", None, "events"),
    (r"/webhooks(/.*)?", None, "events"),
    (r"/campaigns(/.*)?", None, "campaigns"),
    (r"/do-not-call(/.*)?", None, "campaigns"),
    (r"/webrtc(/.*)?", None, "calls:write"),
    (r"/trunks", _READING, "calls:read"),
    (r"/services", _READING, "calls:read"),
    (r"/agents(/.*)?", _READING, "calls:read"),
    (r"/work", _READING, "calls:read"),
    (r"/audit(/.*)?", _READING, "audit"),
    (r"/keys", _READING, "audit"),
    (r"/settings", _READING, "audit"),
)


def scope_needed(method: str, path: str) -> Scope:
    """The scope for this request; `path` is below the base path, a WebSocket's method is GET."""
    for pattern, methods, scope in _TABLE:
        if re.fullmatch(pattern, path) and (methods is None or method in methods):
            return scope
    return "admin"


def allows(granted: Iterable[str], needed: Scope) -> bool:
    """Whether a key with these scopes may do what needs that one."""
    held = scopes_of(granted)
    return needed in held or "admin" in held


def scopes_of(granted: Iterable[str]) -> frozenset[str]:
    """The scopes themselves, of roles and scopes."""
    return frozenset(scope for one in granted for scope in ROLES.get(one, (one,)))  # type: ignore[call-overload]
