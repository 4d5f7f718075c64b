# SPDX-License-Identifier: GPL-3.0-or-later
"""What a service's failures mean: the one place that says whether asking again could help.

Details name statuses and error codes, never what a service wrote: it may quote the conversation.
"""

import json
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

import httpx

from agent.errors import ServiceError, ServiceRejected, ServiceUnavailable

_WORTH_ANOTHER_TRY = frozenset({408, 409, 421, 425, 429})
"""And every 5xx. Timeout, conflict, wrong connection, too early, too many requests (RFC 9110, RFC 6585)."""
_FINAL_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached", "account_deactivated"})
"""Sent with 429, yet waiting does not help."""
_FINAL_KINDS = frozenset(
    {
        *("invalid_request_error", "authentication_error", "permission_error", "not_found_error"),
        *("billing_error", "request_too_large"),  # Anthropic
        *("INVALID_ARGUMENT", "FAILED_PRECONDITION", "PERMISSION_DENIED", "UNAUTHENTICATED", "NOT_FOUND"),  # Google
    }
)
_FINAL_IN_STREAM = _FINAL_CODES | {"invalid_prompt", "context_length_exceeded", "model_not_found", "invalid_api_key"}
_MAX_RETRY_AFTER_S = 3600.0
_MAX_ERROR_BYTES = 64 << 10
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,60}")


class ConnectionLost(ServiceUnavailable):
    """The connection failed before anything of the answer came: the same request may be sent once more."""


def refusal(
    service: str, status: int, body: object = None, headers: Mapping[str, str] = MappingProxyType({})
) -> ServiceError:
    """What an HTTP response says that is no success; `body` is its JSON, if it had any."""
    kind, code = _codes(body)
    said = f"answers {status}" + (f" ({code or kind})" if code or kind else "")
    if (status in _WORTH_ANOTHER_TRY or status >= 500) and code not in _FINAL_CODES:
        return ServiceUnavailable(service, said, retry_after_s=_seconds(headers.get("retry-after", "")))
    return ServiceRejected(service, said)


def reported(service: str, body: object) -> ServiceError:
    """What an error in the middle of a stream says, whose response began well."""
    kind, code = _codes(body)
    said = f"broke off ({code or kind or 'no code'})"
    if kind in _FINAL_KINDS or code in _FINAL_IN_STREAM:
        return ServiceRejected(service, said)
    return ServiceUnavailable(service, said)


@contextmanager
def mapped(service: str) -> Iterator[None]:
    """Turns what httpx raises into `ServiceError`, without its cause: that may quote what a server wrote, and some
    quote our keys."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise ServiceUnavailable(service, f"took too long ({type(error).__name__})") from None
    except (httpx.NetworkError, httpx.RemoteProtocolError) as error:
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error)):
            raise ServiceRejected(service, "its certificate is not one that we trust") from None
        raise ConnectionLost(service, f"the connection failed ({type(error).__name__})") from None
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise ServiceRejected(service, f"its URL cannot be used ({type(error).__name__})") from None
    except httpx.HTTPError as error:
        raise ServiceUnavailable(service, f"HTTP failed ({type(error).__name__})") from None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _codes(body: object) -> tuple[str, str]:
    """`type` and `code` of an error object, if they look like such; it may be nested under `error`. Google's have a
    `status` for type, and for code the number that the response has anyway."""
    found = body.get("error", body) if isinstance(body, Mapping) else None
    if not isinstance(found, Mapping):
        return "", ""
    code = found.get("code")
    texts = (str(found.get("type") or found.get("status") or ""), code if isinstance(code, str) else "")
    kind, code = (text if _CODE.fullmatch(text) else "" for text in texts)
    return kind, code


def _seconds(text: str) -> float | None:
    """Of a Retry-After header (RFC 9110, section 10.2.3); services that we know send no dates there."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return min(seconds, _MAX_RETRY_AFTER_S) if seconds >= 0 else None


async def error_body(response: httpx.Response) -> Mapping[str, object] | None:
    """What an error response says, as far as it is JSON of a sane size."""
    body = bytearray()
    async for data in response.aiter_bytes():
        body += data
        if len(body) > _MAX_ERROR_BYTES:
            return None
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, list) and found:  # Gemini's errors may stand in a list
        found = found[0]
    return found if isinstance(found, Mapping) else None
