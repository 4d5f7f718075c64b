# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading services' JSON: whatever comes, nothing is raised and nothing that is no such value gets through."""

import json
import math
from collections.abc import Iterator, Mapping

from agent.websocket import WireMessage

_NOTHING: Mapping[str, object] = {}


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
    found = value.get(key)
    return found.encode("utf-8", "replace").decode() if isinstance(found, str) else ""


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
