# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of people to call: CSV or JSON lines in, contacts and complaints out, one by one.

bytes > lines > rows > Contact | ListProblem

A list is read as a stream and none of it is kept, so that a million rows take no more memory than ten. What makes the
whole list unreadable (not UTF-8, no column with numbers) raises; what is wrong with one row is told of that row.
"""

import codecs
import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo, available_timezones

from gateway.campaigns.numbers import normalised, zones_of
from gateway.campaigns.policy import Policy
from gateway.errors import BadAddress, ListUnreadable

ListKind = Literal["csv", "jsonl"]
_LONGEST_LINE = 65_536
_MOST_COLUMNS = 40
_LONGEST_NAME, _LONGEST_VALUE = 64, 1024
_DELIMITERS = ",;\t"
_CONSENTS = frozenset({"yes", "y", "true", "1", "x"})
_OTHER_ENCODINGS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody to be called."""

    line: int
    """Where it begins in the list, from 1."""
    number: str = field(repr=False)
    """E.164, or a SIP URI."""
    zone: str
    """IANA name of their time zone, or of several, joined by blanks."""
    metadata: Mapping[str, str] = field(repr=False)
    """The other columns."""


@dataclass(frozen=True, slots=True)
class ListProblem:
    """Why a row is not called; without anything of what stands in it."""

    line: int
    column: str
    """Empty: the whole row."""
    problem: str
    is_consent: bool = False
    """Nothing is wrong with it: they have not agreed to be called."""


def read_list(body: Iterable[bytes], kind: ListKind, policy: Policy) -> Iterator[Contact | ListProblem]:
    """The rows of a list, whose bytes come in pieces of any size. Raises `ListUnreadable`, perhaps after some rows."""
    lines = _text_lines(body)
    rows = _csv_rows(lines, policy) if kind == "csv" else _json_rows(lines)
    zones = _zones()
    for line, row in rows:
        yield row if isinstance(row, ListProblem) else _contact(line, row, policy, zones)


def contact_of(line: int, row: Mapping[str, str], policy: Policy) -> Contact | ListProblem:
    """One row, that did not come as a list."""
    problem = _unfit(line, row)
    return _contact(line, row, policy, _zones()) if problem is None else problem


def _contact(line: int, row: Mapping[str, str], policy: Policy, zones: frozenset[str]) -> Contact | ListProblem:
    number_column, consent_column, zone_column = policy.number_column, policy.consent_column, policy.zone_column
    if number_column not in row:
        return ListProblem(line, number_column, "is missing")
    if consent_column is not None and row.get(consent_column, "").strip().lower() not in _CONSENTS:
        return ListProblem(line, consent_column, "does not say yes", is_consent=True)
    try:
        number = normalised(row[number_column], policy.region)
    except BadAddress as fault:
        return ListProblem(line, number_column, str(fault))
    zone = "" if zone_column is None else row.get(zone_column, "").strip()
    if zone and zone not in zones:
        return ListProblem(line, zone_column or "", "is no time zone of the IANA database, like Europe/Berlin")
    zone = zone or _known(zones_of(number), zones) or policy.zone or ""
    if not zone:
        return ListProblem(
            line, number_column, "does not tell its time zone: name the policy's `zone` or `zone_column`"
        )
    metadata = {name: value for name, value in row.items() if name != number_column}
    return Contact(line, number, zone, metadata)


@cache
def _zones() -> frozenset[str]:
    """All that this machine knows: it reads hundreds of files for that."""
    return frozenset(available_timezones())


def _known(zones: str, all_zones: frozenset[str]) -> str:
    """What the numbers' library calls a zone, as far as this machine knows it."""
    return " ".join(zone for zone in zones.split() if zone in all_zones or _exists(zone))


def _exists(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        return False
    return True


# Lines


def _text_lines(body: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(_lines(body), 1):
        if number == 1:
            if line.startswith(_OTHER_ENCODINGS):
                raise ListUnreadable("is UTF-16 or UTF-32: save it as UTF-8")
            line = line.removeprefix(codecs.BOM_UTF8)
        if b"\0" in line:
            raise ListUnreadable(f"line {number} holds a zero byte: it is no text, or UTF-16; save it as UTF-8")
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as error:
            raise ListUnreadable(
                f"line {number}, byte {error.start + 1} is not UTF-8 (0x{line[error.start]:02x}): save it as UTF-8"
            ) from error


def _lines(body: Iterable[bytes]) -> Iterator[bytes]:
    """With their ends, `\\n`, `\\r\\n` or `\\r`."""
    rest = b""
    number = 1
    for piece in body:
        rest += piece
        if b"\n" not in piece and b"\r" not in piece and len(rest) <= _LONGEST_LINE:
            continue
        *whole, rest = rest.splitlines(keepends=True) or [b""]
        if rest.endswith(b"\n"):
            whole.append(rest)
            rest = b""
        for line in whole:
            if len(line) > _LONGEST_LINE:
                break
            yield line
            number += 1
        if len(rest) > _LONGEST_LINE or any(len(line) > _LONGEST_LINE for line in whole):
            raise ListUnreadable(f"line {number} is longer than {_LONGEST_LINE} bytes: is a quote left open?")
    yield from rest.splitlines(keepends=True)


# Rows

_Row = tuple[int, dict[str, str] | ListProblem]


def _csv_rows(lines: Iterator[str], policy: Policy) -> Iterator[_Row]:
    first = next(lines, None)
    if first is None or not first.strip():
        raise ListUnreadable("has no first line: the names of its columns belong there")
    delimiter = max(_DELIMITERS, key=lambda one: _unquoted(first).count(one))
    reader = csv.reader(_again(first, lines), delimiter=delimiter, strict=True)
    try:
        names = _column_names(next(reader), policy)
        begins_at = reader.line_num + 1
        for cells in reader:
            line, begins_at = begins_at, reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            yield line, _row(line, names, cells)
    except csv.Error as error:
        raise ListUnreadable(f"line {reader.line_num}: {error}") from error


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _unquoted(line: str) -> str:
    return "".join(line.split('"')[::2])


def _column_names(cells: list[str], policy: Policy) -> list[str]:
    names = [cell.strip() for cell in cells]
    while names and not names[-1]:  # a delimiter at the end of each line
        names.pop()
    shown = ", ".join(name[:_LONGEST_NAME] for name in names[:_MOST_COLUMNS])
    if len(names) > _MOST_COLUMNS:
        raise ListUnreadable(f"has {len(names)} columns: at most {_MOST_COLUMNS}")
    for name in names:
        if not name or len(name) > _LONGEST_NAME or not name.isprintable():
            raise ListUnreadable(
                f"line 1: a column's name has 1 to {_LONGEST_NAME} printable characters; found: {shown}"
            )
        if names.count(name) > 1:
            raise ListUnreadable(f"line 1: two columns are called {name!r}")
    for wanted in (policy.number_column, policy.zone_column, policy.consent_column):
        if wanted is not None and wanted not in names:
            raise ListUnreadable(f"line 1: there is no column {wanted!r}; found: {shown}")
    return names


def _row(line: int, names: list[str], cells: list[str]) -> dict[str, str] | ListProblem:
    extra = [cell for cell in cells[len(names) :] if cell.strip()]
    if extra or len(cells) < len(names):
        return ListProblem(line, "", f"has {len(cells)} cells, the first line {len(names)}")
    row = {name: cell.strip() for name, cell in zip(names, cells, strict=False)}
    return _unfit(line, row) or row


def _json_rows(lines: Iterator[str]) -> Iterator[_Row]:
    for line, text in enumerate(lines, 1):
        if text.strip():
            yield line, _json_row(line, text)


def _json_row(line: int, text: str) -> dict[str, str] | ListProblem:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ListProblem(line, "", "is no JSON")
    if not isinstance(value, dict):
        return ListProblem(line, "", "is no JSON object")
    row = {}
    for name, one in value.items():
        if isinstance(one, dict | list):
            return ListProblem(line, name[:_LONGEST_NAME], "is neither text, number, truth value nor null")
        row[name] = _said(one)
    return _unfit(line, row) or row


def _said(value: str | int | float | bool | None) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
    return str(value).strip()


def _unfit(line: int, row: Mapping[str, str]) -> ListProblem | None:
    if len(row) > _MOST_COLUMNS:
        return ListProblem(line, "", f"has {len(row)} columns: at most {_MOST_COLUMNS}")
    for name, value in row.items():
        if not 0 < len(name) <= _LONGEST_NAME:
            return ListProblem(line, name[:_LONGEST_NAME], f"is a name of none or more than {_LONGEST_NAME} characters")
        if len(value) > _LONGEST_VALUE:
            return ListProblem(line, name, f"is longer than {_LONGEST_VALUE} characters")
    return None
