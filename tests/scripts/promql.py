# SPDX-License-Identifier: GPL-3.0-or-later
"""What an expression of PromQL speaks of, read without its grammar: series, their matchers, labels it groups by."""

import re
from dataclasses import dataclass

_SERIES = re.compile(r"\b(up|ALERTS|parley_\w+)(?:\{([^}]*)\})?")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(by|on|without|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_COMPARISON = re.compile(r"[<>]|==|!=")


@dataclass(frozen=True, slots=True)
class Series:
    """A selector."""

    name: str
    matchers: tuple[tuple[str, str], ...]
    text: str


def series_in(expression: str) -> list[Series]:
    """In the order of the text."""
    return [
        Series(found[1], tuple(_MATCHER.findall(found[2] or "")), found[0]) for found in _SERIES.finditer(expression)
    ]


def groupings_in(expression: str) -> set[str]:
    """Labels in `by (...)`, `on (...)` and their like."""
    return {label.strip() for _, labels in _GROUPING.findall(expression) for label in labels.split(",")}


def labels_of_result(expression: str) -> set[str] | None:
    """What its first aggregation leaves; None: it has none, and the series keep theirs."""
    found = re.search(r"\b(?:sum|min|max|count)\s*(?:by\s*\(([^)]*)\))?", expression)
    if found is None:
        return None
    return {label.strip() for label in (found[1] or "").split(",")} - {"", "le"}


def compares(expression: str) -> bool:
    """Whether its result may be empty because nothing is above, or below."""
    return _COMPARISON.search(re.sub(r"\{[^}]*\}", "", expression)) is not None
