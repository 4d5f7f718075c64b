# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong for whoever talks to a gateway.

    ParleyError
    ├── NotReachable           nobody answered, or the connection broke: try again
    ├── BadAnswer              something answered, but no gateway of this version
    ├── ApiError               the gateway says no, with an RFC 9457 problem (`status`, `type`, `detail`, `fields`)
    │   ├── NotAllowed             401, 403: the key, or its scopes
    │   ├── NotFound               404, 410: no such call, session, stream
    │   ├── Conflict               409: the call's state does not allow it
    │   ├── InvalidRequest         400, 405, 413, 415, 416, 422: what was sent; `fields` says where
    │   ├── TooManyRequests        429: later
    │   ├── FarEndRefused          502: the far end, or the address you gave, said no
    │   └── Unavailable            500, 503, 504: it is full, draining, or broken
    └── StreamEnded            the stream of a call is over (`reason`): nothing can be said on it any more

`retryable` is decided here: whether the same request may succeed later, without anybody changing anything.
"""

import json
from collections.abc import Mapping
from typing import Any

_RETRYABLE = frozenset({429, 503, 504})


class ParleyError(Exception):
    """Root of every error of the client."""

    retryable = False
    """The same request may succeed later."""


class NotReachable(ParleyError):
    """Nobody answered, or the connection broke."""

    retryable = True


class BadAnswer(ParleyError):
    """The answer cannot be understood: no gateway, or another version of one."""


class ApiError(ParleyError):
    """The gateway answered with a problem document."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after_s: float | None = None) -> None:
        self.status = status
        self.type = str(problem.get("type", "about:blank"))
        """`urn:parley:problem:...`, or about:blank when the status says it all."""
        self.title = str(problem.get("title", ""))
        detail = problem.get("detail")
        self.detail = None if detail is None else str(detail)
        self.fields = _fields(problem.get("errors"))
        """What is wrong with which field of the request: `body.to`, `query.limit`."""
        self.retryable = status in _RETRYABLE
        self.retry_after_s = retry_after_s
        """How long the gateway asks to wait."""
        told = "; ".join(f"{field}: {said}" for field, said in self.fields.items()) or self.detail or self.title
        super().__init__(f"{status} {told}".rstrip())


class NotAllowed(ApiError):
    """The key is missing or wrong, or may not do this."""


class NotFound(ApiError):
    """There is no such thing, or not any more."""


class Conflict(ApiError):
    """The state of the call does not allow it."""


class InvalidRequest(ApiError):
    """What was sent is not what is taken."""


class TooManyRequests(ApiError):
    """Slow down: see `retry_after_s`."""


class FarEndRefused(ApiError):
    """The far end of the call, or the address to connect to, said no."""


class Unavailable(ApiError):
    """The gateway cannot do it now."""


class StreamEnded(ParleyError):
    """The stream is over."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the stream has ended: {reason}")
        self.reason = reason
        """As the gateway's `stop` says; `connection lost` when none came."""


_KINDS: Mapping[int, type[ApiError]] = {
    401: NotAllowed,
    403: NotAllowed,
    404: NotFound,
    410: NotFound,
    409: Conflict,
    429: TooManyRequests,
    502: FarEndRefused,
}


def api_error(status: int, body: bytes, headers: Mapping[str, str]) -> ApiError:
    """The error for an answer that is not 2xx. `Retry-After` is read as seconds (RFC 9110 section 10.2.3)."""
    try:
        problem = json.loads(body)
    except ValueError:
        problem = None  # a proxy's page: the status has to do
    kind = _KINDS.get(status, Unavailable if status >= 500 else InvalidRequest)
    retry_after = headers.get("Retry-After", "").strip()
    return kind(
        status, problem if isinstance(problem, dict) else {}, float(retry_after) if retry_after.isdecimal() else None
    )


def _fields(errors: object) -> dict[str, str]:
    if not isinstance(errors, list):
        return {}
    return {str(one.get("field", "")): str(one.get("detail", "")) for one in errors if isinstance(one, dict)}
