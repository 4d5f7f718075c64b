# SPDX-License-Identifier: GPL-3.0-or-later
"""Results and report: everything of a contact is there, and nothing that people say is obeyed by whoever opens them."""

import csv
import io
import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.campaigns.attempt import AttemptRecord
from gateway.campaigns.outcome import CampaignState, Outcome
from gateway.campaigns.policy import Policy
from gateway.campaigns.progress import Progress
from gateway.campaigns.report import campaign_report
from gateway.campaigns.results import csv_header, csv_row, harmless, json_row
from gateway.store.campaign_records import CampaignRecord

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
POLICY = Policy.model_validate(
    {
        "extract": [
            {"name": "confirmed", "type": "boolean", "question": "Did they confirm?"},
            {"name": "note", "question": "What <b>else</b>?"},
        ]
    }
)
RECORD = AttemptRecord(
    campaign_id="campaign_1",
    contact_id=7,
    line=3,
    number="+493090182001",
    zone="Europe/Berlin",
    metadata={"name": "Anna", "town": "Köln"},
    outcome=Outcome.TALKED,
    attempts=2,
    sequence=1,
    attempt_id="a",
    index=2,
    call_id="call_1",
    node="n",
    started_at=NOON,
    answered_at=NOON + timedelta(seconds=4),
    ended_at=NOON + timedelta(seconds=34, milliseconds=500),
    far_end="person",
    far_end_confidence=0.93,
    disposition={"confirmed": True, "note": "call, me"},
    response_ms=(412.4, 388.0),
    has_session=True,
    recording=True,
    cost=0.25,
)
_FORMULA = re.compile(r"""[\s"']*[=+\-@\uff0b\uff0d\uff1d\uff20]""")


def rows(*records: AttemptRecord, columns: tuple[str, ...] = ("name", "town")) -> list[dict[str, str]]:
    text = csv_header(POLICY, columns) + "".join(csv_row(POLICY, columns, record) for record in records)
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_row_has_everything_that_is_known() -> None:
    (row,) = rows(RECORD)
    assert row == {
        "sequence": "1",
        "line": "3",
        "number": "+493090182001",
        "outcome": "talked",
        "attempts": "2",
        "call_id": "call_1",
        "started_at": "2026-11-23T12:00:00.000Z",
        "answered_at": "2026-11-23T12:00:04.000Z",
        "ended_at": "2026-11-23T12:00:34.500Z",
        "duration_s": "30.5",
        "far_end": "person",
        "far_end_confidence": "0.93",
        "sip_code": "",
        "end_reason": "",
        "response_ms": "412 388",
        "cost": "0.25",
        "recording": "/api/v1/sessions/call_1/recording",
        "session": "/api/v1/sessions/call_1",
        "confirmed": "true",
        "note": "call, me",
        "list.name": "Anna",
        "list.town": "Köln",
    }
    values = json.loads(json_row(RECORD))
    assert values["disposition"] == {"confirmed": True, "note": "call, me"}
    assert values["metadata"] == {"name": "Anna", "town": "Köln"}
    assert values["response_ms"] == [412, 388]


def test_who_was_never_dialled_has_a_row_too() -> None:
    never = AttemptRecord("campaign_1", 8, 4, "+49", "UTC", {"name": "Ben"}, Outcome.DO_NOT_CALL, 0, 2)
    (row,) = rows(never)
    assert (row["outcome"], row["call_id"], row["list.name"], row["list.town"]) == ("do_not_call", "", "Ben", "")


cells = st.text(st.characters(codec="utf-8") | st.sampled_from("=+-@\t\r\n;,|'\" "), max_size=40)


@given(cells, cells)
@example("=cmd|' /C calc'!A0", 'x";=1+1')
@example("\t=1", "a\r\n@SUM(1)")
def test_no_spreadsheet_of_any_country_finds_a_formula(first: str, second: str) -> None:
    text = csv_header(POLICY, ("a", "b")) + csv_row(
        POLICY, ("a", "b"), replace(RECORD, metadata={"a": first, "b": second}, disposition={"note": first})
    )
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    for value in (row["list.a"], row["list.b"], row["note"]):
        for cell in re.split(r"[;,|\t\r\n]", value):
            is_number = re.fullmatch(r"[+-]?\d{1,20}([.,]\d{1,20})?", value)
            assert is_number or not re.match(r"\s*[=+\-@\uff0b\uff0d\uff1d\uff20]", cell), value


@given(st.text(st.characters(codec="utf-8", categories=["L", "N", "Zs"]), max_size=40))
def test_what_is_harmless_stays_as_it_is(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize("number", ["+493090182001", "-5", "3.25", "-1,5"])
def test_numbers_stay_numbers(number: str) -> None:
    assert harmless(number) == number


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs] + [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


def report(name: str, said: str) -> _Page:
    campaign = CampaignRecord(
        "campaign_1", name, CampaignState.DONE, POLICY.model_dump_json(by_alias=True), NOON, NOON, NOON, "completed"
    )
    progress = Progress(2, 0, 0, 0, 2, {Outcome.TALKED: 1, Outcome.BUSY: 1}, 3, 1, 1, 0, 30.5, 0.25, None, None)
    busy = replace(RECORD, outcome=Outcome.BUSY, answered_at=None, response_ms=(), sequence=2)
    page = _Page()
    page.feed(campaign_report(campaign, progress, [replace(RECORD, disposition={"note": said}), busy]))
    return page


@given(st.text(max_size=60))
@example("<script>alert(1)</script>")
@example('"><img src=x onerror=alert(1)><i>')
def test_a_report_shows_what_people_say_and_runs_nothing_of_it(text: str) -> None:
    page = report(text, text)
    assert not {"script", "img", "iframe", "link", "object", "i"} & set(page.tags)
    assert not [
        one
        for one in page.attributes
        if one.startswith("on") or "http:" in one or "https:" in one or "javascript:" in one
    ]


def test_a_report_says_how_it_went() -> None:
    page = report("Reminders", "call me")
    assert "Reminders" in page.text
    assert "2 of 2" in page.text
    assert "33.3 %" in page.text
    assert "What <b>else</b>?" in page.text
    assert "call me" in page.text
    assert page.tags.count("svg") >= 5
