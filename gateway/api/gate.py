# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate before the API: no key, no answer; not too often; nothing that the key has no scope for.

It stands before routing and bodies, for HTTP and WebSockets alike, and knows requests by method and path only.
"""

import base64
import re
import time
from datetime import UTC, datetime
from urllib.parse import parse_qs

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api.keyring import KeyRing
from gateway.api.problems import problem_of, problem_response
from gateway.api.scopes import allows, scope_needed
from gateway.errors import ScopeMissing
from gateway.rates import Rate, TokenBucket
from gateway.webrtc.tokens import PREFIX

_ATTACH_PATH = re.compile(r"/calls/[^/]+/stream")
"""The only address that a token opens (its route looks at it): elsewhere keys have no business in a URL."""
_KEY_PROTOCOL = "parley.key."
_PAGES_PATH = re.compile(r"/webrtc/(offer|ice-servers|calls/[^/]+(/events)?)")
"""What page tokens open (their routes look at them)."""
_PAGE_TOKEN = PREFIX.encode()
_OPEN_PATH = "/webrtc/token"
"""What needs no key: where pages get their tokens."""


class BearerGate:
    """ASGI middleware: under the prefix, nothing happens without `Authorization: Bearer KEY` (RFC 6750 section 2.1).

    Whoever passes has `key_id`, its `scopes` and what it is limited to (`only`) in the request's state.
    """

    def __init__(self, app: ASGIApp, *, keys: KeyRing, rate: Rate | None, prefix: str) -> None:
        """`rate`: requests of one key; None: as many as it likes."""
        self._app = app
        self._keys = keys
        self._rate = rate
        self._buckets: dict[str, TokenBucket] = {}
        """By key id: there are as many as keys."""
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        is_ours = path == self._prefix or path.startswith(f"{self._prefix}/")
        if scope["type"] == "lifespan" or (scope["type"] == "http" and not is_ours):
            await self._app(scope, receive, send)
            return
        # There are no WebSockets elsewhere.
        refusal = self._refusal(scope, path.removeprefix(self._prefix)) if is_ours else problem_response(404)
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http" or "websocket.http.response" in scope.get("extensions", {}):
            await refusal(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: Scope, path: str) -> Response | None:
        """The answer to who may not pass."""
        if scope["type"] == "websocket" and _ATTACH_PATH.fullmatch(path) and _has_token(scope):
            return None
        if path == _OPEN_PATH:
            return None
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        header = header or _offered_key(scope)
        scheme, _, given = header.partition(b" ")
        if scheme.lower() == b"bearer" and given.startswith(_PAGE_TOKEN) and _PAGES_PATH.fullmatch(path):
            scope.setdefault("state", {}).update(page_token=given.decode("latin-1"), scopes=())
            return None
        holder = self._keys.holder(given.strip(), datetime.now(UTC)) if scheme.lower() == b"bearer" else None
        if holder is None:
            challenge = 'Bearer error="invalid_token"' if header else "Bearer"
            return problem_response(
                401, "send the header Authorization: Bearer KEY", headers={"WWW-Authenticate": challenge}
            )
        wait_s = self._wait_s(holder.key_id, time.monotonic())
        if wait_s > 0:
            return problem_response(
                429, "this key asks too often: http.rate_per_s", headers={"Retry-After": str(int(wait_s) + 1)}
            )
        needed = scope_needed(scope.get("method", "GET"), path)
        if not allows(holder.scopes, needed):
            return problem_of(ScopeMissing(needed))
        only = None if holder.only is None else holder.only.model_dump(mode="json")
        scope.setdefault("state", {}).update(key_id=holder.key_id, scopes=holder.scopes, only=only)
        return None

    def _wait_s(self, key_id: str, now: float) -> float:
        if self._rate is None:
            return 0.0
        bucket = self._buckets.get(key_id)
        if bucket is None:
            bucket = self._buckets[key_id] = TokenBucket(self._rate, now)
        return bucket.take(now)


def _offered_key(scope: Scope) -> bytes:
    """What a page in a browser says in place of the header, which it cannot send with a WebSocket: the subprotocol
    `parley.key.KEY`, KEY in base64url without padding. As a header. Unlike a URL it stands in no log and no history."""
    for protocol in scope.get("subprotocols", ()):
        if protocol.startswith(_KEY_PROTOCOL):
            text = protocol.removeprefix(_KEY_PROTOCOL)
            try:
                return b"Bearer " + base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            except ValueError:
                return b"Bearer"
    return b""


def _has_token(scope: Scope) -> bool:
    try:
        return b"token" in parse_qs(scope.get("query_string", b""), max_num_fields=20)
    except ValueError:  # more fields than there can be
        return False
