# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a campaign, a row for each contact that is done: CSV for spreadsheets, JSON lines for programs.

What people said and what lists say of them must not become a formula in whoever's spreadsheet (OWASP, "CSV
Injection"): an apostrophe goes before whatever begins like one, at a cell's beginning and after everything that some
country's spreadsheet takes for a cell's end. Plain numbers stay, `+493012345678` among them: their value is themselves.
JSON lines have everything as it is.
"""

import csv
import io
import json
import re
from collections.abc import Sequence
from datetime import datetime

from gateway.campaigns.attempt import AttemptRecord, Extracted
from gateway.campaigns.policy import Policy

CSV_TYPE, JSONL_TYPE = "text/csv; charset=utf-8", "application/x-ndjson"
_FACTS = (
    "sequence",
    "line",
    "number",
    "outcome",
    "attempts",
    "call_id",
    "started_at",
    "answered_at",
    "ended_at",
    "duration_s",
    "far_end",
    "far_end_confidence",
    "sip_code",
    "end_reason",
    "response_ms",
    "cost",
    "recording",
    "session",
)
_FORMULA = re.compile(r"""(^|[;,|\t\r\n])([\s"']*)(?=[=+\-@\uff0b\uff0d\uff1d\uff20])""")
_PLAIN = re.compile(r"[+-]?[0-9]{1,20}(?:[.,][0-9]{1,20})?")


def csv_header(policy: Policy, columns: Sequence[str]) -> str:
    """The first line; `columns`: those of the list."""
    return _line([*_FACTS, *(one.name for one in policy.extract), *(f"list.{name}" for name in columns)])


def csv_row(policy: Policy, columns: Sequence[str], record: AttemptRecord) -> str:
    """A contact; of the list's columns these."""
    facts = _facts(record)
    extracted = [_cell(record.disposition.get(one.name)) for one in policy.extract]
    listed = [record.metadata.get(name, "") for name in columns]
    return _line([*(_cell(facts[name]) for name in _FACTS), *extracted, *listed])


def json_row(record: AttemptRecord) -> str:
    """A contact."""
    row = {**_facts(record), "disposition": dict(record.disposition), "metadata": dict(record.metadata)}
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n"


def harmless(cell: str) -> str:
    """The text, so that no spreadsheet takes any of it for a formula."""
    return cell if _PLAIN.fullmatch(cell) else _FORMULA.sub(r"\1\2'", cell)


def _facts(record: AttemptRecord) -> dict[str, object]:
    session = f"/api/v1/sessions/{record.call_id}" if record.has_session else None
    return {
        "sequence": record.sequence,
        "line": record.line,
        "number": record.number,
        "outcome": None if record.outcome is None else record.outcome.value,
        "attempts": record.attempts,
        "call_id": record.call_id,
        "started_at": _moment(record.started_at),
        "answered_at": _moment(record.answered_at),
        "ended_at": _moment(record.ended_at),
        "duration_s": None if record.duration_s is None else round(record.duration_s, 3),
        "far_end": record.far_end,
        "far_end_confidence": record.far_end_confidence,
        "sip_code": record.sip_code,
        "end_reason": record.end_reason,
        "response_ms": [round(one) for one in record.response_ms],
        "cost": round(record.cost, 6),
        "recording": f"{session}/recording" if session and record.recording else None,
        "session": session,
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _cell(value: object | Extracted) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return " ".join(str(one) for one in value)
    return str(value)


def _line(cells: Sequence[str]) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerow([harmless(cell) for cell in cells])
    return text.getvalue()
