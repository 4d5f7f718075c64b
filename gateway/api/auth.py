# SPDX-License-Identifier: GPL-3.0-or-later
"""The API keys of the operator: in the configuration, or made at the first start and kept in the data folder."""

import contextlib
import os
import secrets
from pathlib import Path

from gateway.api.keyring import HASH_PREFIX
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
        keys = (key.get_secret_value() for key in config.http.api_keys)
        return next((key for key in keys if not key.startswith(HASH_PREFIX)), None)
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
