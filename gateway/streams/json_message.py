# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON text as foreign protocols have it: read without ever raising for what somebody sent."""

import binascii
import json
from collections.abc import Mapping
from typing import TypeGuard

from gateway.streams.messages import Malformed, WireMessage


def parse_object(message: WireMessage) -> Mapping[str, object] | Malformed:
    """The JSON object of a text message, or what is wrong with it."""
    if isinstance(message, bytes):
        return Malformed("a binary message; this protocol has text only")
    try:
        parsed = json.loads(message)
    except (ValueError, RecursionError) as fault:  # deep nesting is a RecursionError
        return Malformed(f"not JSON: {type(fault).__name__}")
    return parsed if is_object(parsed) else Malformed("not a JSON object")


def is_object(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, dict)


def text_of(parsed: Mapping[str, object], key: str) -> str:
    """The string under `key`; empty when there is none."""
    value = parsed.get(key)
    return value if isinstance(value, str) else ""


def object_of(parsed: Mapping[str, object], key: str) -> Mapping[str, object]:
    """The object under `key`; empty when there is none."""
    value = parsed.get(key)
    return value if is_object(value) else {}


def compact(value: Mapping[str, object]) -> str:
    """The text of an object, without blanks."""
    return json.dumps(value, separators=(",", ":"))


def base64_text(payload: bytes) -> str:
    return binascii.b2a_base64(payload, newline=False).decode("ascii")


def base64_bytes(text: str) -> bytes | None:
    """Base64 as senders write it: padded or not, or several padded pieces one after the other; None: it is none."""
    try:
        if "=" not in text.rstrip("="):
            return binascii.a2b_base64(_padded(text.rstrip("=")))
        return b"".join(binascii.a2b_base64(_padded(piece)) for piece in text.split("=") if piece)
    except ValueError:  # binascii.Error is one, and so is text that is not ASCII
        return None


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)
