# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON as it comes from services, of which none is trusted: half characters, endless nesting, numbers that are none.

Whatever a vendor's dialect takes out of a message goes through one of these.
"""

import json
import math
from collections.abc import Iterator, Mapping

from agent.errors import ServiceUnavailable
from agent.websocket import WireMessage

_MAX_DEPTH = 32
_NOTHING: Mapping[str, object] = {}


def encoded(value: object) -> bytes:
    """As JSON. Half a character (a lone surrogate, which JSON can bring in) cannot be encoded: it becomes "?"."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def decoded(data: str | bytes, service: str) -> Mapping[str, object]:
    """The object that a message is. Raises `ServiceUnavailable`: it is none."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise ServiceUnavailable(service, "sent something that is no JSON") from error
    if not isinstance(found, Mapping):
        raise ServiceUnavailable(service, "sent something that is no chunk of an answer")
    return found


def arguments(text: str) -> tuple[Mapping[str, object], str]:
    """A tool's arguments, and what is wrong with them: they can be sent on and stored, or there are none."""
    if not text.strip():
        return {}, ""
    try:
        found = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return {}, "the arguments are no JSON"
    if not isinstance(found, dict):
        return {}, "the arguments are no JSON object"
    if _is_deep(found, _MAX_DEPTH):
        return {}, "the arguments are nested too deeply"
    sound: dict[str, object] = json.loads(encoded(found))
    return sound, ""


def as_text(value: object) -> str:
    """The JSON text of a value that was decoded, to be looked at by `arguments`."""
    try:
        return json.dumps(value)
    except RecursionError:
        return "["  # what is nested so deeply is no JSON for us either


def member(value: object, *path: str) -> object:
    """What stands there in objects within objects; None: nothing."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def text(value: object) -> str:
    """A text without half characters: no file, no database and no other service takes those. Empty: it is none."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else ""


def count(value: object) -> int:
    """A number of things; 0: it is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def parsed(message: WireMessage) -> Mapping[str, object] | None:
    """The JSON object in a message; None when it is none."""
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def mapping_of(value: object, key: str) -> Mapping[str, object]:
    """An object's object; an empty one when there is none."""
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else _NOTHING


def mappings_of(value: object, key: str) -> Iterator[Mapping[str, object]]:
    """The objects of an object's list."""
    found = value.get(key) if isinstance(value, Mapping) else None
    for one in found if isinstance(found, list) else ():
        if isinstance(one, Mapping):
            yield one


def text_of(value: Mapping[str, object], key: str) -> str:
    """Without half characters (lone surrogates), which no file, database or other service takes."""
    return text(value.get(key))


def number_of(value: Mapping[str, object], key: str) -> float:
    """A finite number, or 0."""
    found = value.get(key)
    if isinstance(found, bool) or not isinstance(found, int | float):
        return 0.0
    try:
        number = float(found)
    except OverflowError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def share_of(value: Mapping[str, object], key: str) -> float:
    """A number of 0 to 1; others are brought there."""
    return min(1.0, max(0.0, number_of(value, key)))


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON, although Python takes it")


def _is_deep(value: object, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    return not depth or any(_is_deep(one, depth - 1) for one in (value.values() if isinstance(value, dict) else value))
