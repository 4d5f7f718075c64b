# SPDX-License-Identifier: GPL-3.0-or-later
"""API keys: where they come from, and the gate that asks for one before anything else looks at a request."""

import contextlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.api.problems import problem_response
from gateway.config import Config
from gateway.errors import StartupError

_KEY_FILE = "api_key"


def api_keys(config: Config) -> tuple[str, ...]:
    """The configured keys; without any, the one in the data folder, which is made when missing (file mode 0600).

    Blocks, shortly. Raises `StartupError`.
    """
    if config.http.api_keys:
        return tuple(key.get_secret_value() for key in config.http.api_keys)
    path = config.store.data_dir / _KEY_FILE
    try:
        if not path.exists():
            _make_key_file(path)
        key = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StartupError(f"API key file {path} cannot be used: {error}") from error
    if not key:
        raise StartupError(f"API key file {path} is empty: delete it, and a new key is made at the next start")
    return (key,)


def known_api_key(config: Config) -> str | None:
    """A key for talking to a gateway that runs with this configuration; None when there is none to be found."""
    if config.http.api_keys:
        return config.http.api_keys[0].get_secret_value()
    try:
        return (config.store.data_dir / _KEY_FILE).read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _make_key_file(path: Path) -> None:
    """Complete or not at all, and never over one that another process has just made."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{_KEY_FILE}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"parley_{secrets.token_urlsafe(32)}\n")
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink()


class BearerGate:
    """ASGI middleware: under the prefix, nothing happens without `Authorization: Bearer KEY` (RFC 6750 section 2.1)."""

    def __init__(self, app: ASGIApp, *, keys: Sequence[str], prefix: str) -> None:
        self._app = app
        self._keys = keys
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] == "lifespan" or not (path == self._prefix or path.startswith(f"{self._prefix}/")):
            await self._app(scope, receive, send)
            return
        header = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        if self._admits(header):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            challenge = 'Bearer error="invalid_token"' if header else "Bearer"
            response = problem_response(
                401, "send the header Authorization: Bearer KEY", headers={"WWW-Authenticate": challenge}
            )
            await response(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _admits(self, header: bytes) -> bool:
        scheme, _, given = header.partition(b" ")
        return is_one_of(self._keys, given.strip()) and scheme.lower() == b"bearer"


def is_one_of(keys: Sequence[str], given: bytes) -> bool:
    """Every key is compared, in constant time: how long it takes tells nothing."""
    return any([hmac.compare_digest(given, key.encode()) for key in keys])
