# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists: every row becomes a contact or a complaint with its line; what is no list is refused; memory stays flat."""

import contextlib
import json
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.campaigns.lists import Contact, ListKind, ListProblem, read_list
from gateway.campaigns.policy import Policy
from gateway.errors import ListUnreadable

BERLIN = Policy.model_validate({"zone": "Europe/Berlin", "region": "DE"})


Found = list[Contact | ListProblem]


def read(text: str | bytes, kind: ListKind = "csv", policy: Policy = BERLIN, piece: int = 7) -> Found:
    raw = text.encode() if isinstance(text, str) else text
    return list(read_list((raw[begin : begin + piece] for begin in range(0, len(raw), piece)), kind, policy))


def problems(found: Found) -> list[tuple[int, str, str]]:
    return [(one.line, one.column, one.problem) for one in found if isinstance(one, ListProblem)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_columns_become_metadata_whatever_the_file_is_like(end: str, delimiter: str, piece: int) -> None:
    lines = [
        delimiter.join(("\ufeffnumber", "name", "note")),
        delimiter.join(("030 9018 2001", "Jörg", f'"a{delimiter} ""b"" {end}c"')),
        "",
        delimiter.join((" +1 212-555-2368 ", "Ann", "")),
    ]
    first, second = read(end.join(lines) + end, piece=piece)
    assert isinstance(first, Contact)
    assert isinstance(second, Contact)
    assert (first.line, first.number, first.zone) == (2, "+493090182001", "Europe/Berlin")
    assert first.metadata["name"] == "Jörg"
    assert first.metadata["note"].startswith(f'a{delimiter} "b"')
    assert (second.number, second.zone) == ("+12125552368", "America/New_York")
    assert second.metadata == {"name": "Ann", "note": ""}


def test_each_faulty_row_is_told_by_its_line_and_the_others_are_called() -> None:
    found = read(
        "number,name\n"
        "+493090182001,ok\n"
        "12,short\n"
        "hello,no number\n"
        ",none\n"
        '+493090182002,"two\nlines"\n'
        "+49309018200312345678,long\n"
        "+999123456789,no country\n"
        "+493090182004\n"
        "+493090182005,a,b\n"
        f"+493090182006,{'x' * 1025}\n"
        "sip:ann@example.com,a URI\n"
        "+1 212 555 2368 ext. 5,extension\n"
    )
    assert [one.number for one in found if isinstance(one, Contact)] == [
        "+493090182001",
        "+493090182002",
        "sip:ann@example.com",
    ]
    assert [(line, column) for line, column, _ in problems(found)] == [
        (3, "number"),
        (4, "number"),
        (5, "number"),
        (8, "number"),
        (9, "number"),
        (10, ""),
        (11, ""),
        (12, "name"),
        (14, "number"),
    ]
    assert "hello" not in str(problems(found)), "what stands in a row is not repeated"


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "has no first line"),
        (b"\n+493090182001\n", "has no first line"),
        ("number,name\n".encode("utf-16"), "is UTF-16"),
        ("number,name\n".encode("utf-16-le"), "line 1 holds a zero byte"),
        ("number,name\n+49,Jörg\n".encode("latin-1"), "line 2, byte 6 is not UTF-8 (0xf6)"),
        (b"phone,name\n", "line 1: there is no column 'number'; found: phone, name"),
        (b"number,name,name\n", "line 1: two columns are called 'name'"),
        (b"number,,name\n", "line 1: a column's name has 1 to 64"),
        (b"number," + b",".join(b"c%d" % index for index in range(60)) + b"\n", "has 61 columns"),
        (b'number,name\n+493090182001,"open\n' + b"x" * 200_000, "is a quote left open?"),
        (b'number,name\n+493090182001,"open\n' + b"x\n" * 200_000, "field larger than field limit"),
        (b'number,name\n+493090182001,"a"b\n', "line 2"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "line 1, byte 1 is not UTF-8"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # some are long
)
def test_what_is_no_list_is_refused_with_its_line(raw: bytes, problem: str) -> None:
    with pytest.raises(ListUnreadable) as raised:
        read(raw, piece=4096)
    assert problem in str(raised.value)


def test_json_lines_are_objects_of_plain_values() -> None:
    rows = [
        {"number": "+493090182001", "vip": True, "age": 7, "note": None},
        {"number": 493090182001},
        {"name": "none"},
        {"number": "+493090182001", "deep": {}},
    ]
    text = "\n".join(json.dumps(row) for row in rows) + '\n[1]\n{"number": \n' + "[" * 5000 + "\n"
    found = read(text, "jsonl")
    assert isinstance(found[0], Contact)
    assert found[0].metadata == {"vip": "true", "age": "7", "note": ""}
    assert [line for line, _, _ in problems(found)] == [3, 4, 5, 6, 7]


def test_zone_and_consent_come_from_their_columns() -> None:
    policy = Policy.model_validate({"zone_column": "tz", "consent_column": "ok", "region": "DE"})
    found = read(
        "number,tz,ok\n03090182001,Asia/Tokyo,YES\n03090182002,Mars,yes\n03090182003,,x\n03090182004,,no\n",
        policy=policy,
    )
    assert [(one.line, one.zone) for one in found if isinstance(one, Contact)] == [
        (2, "Asia/Tokyo"),
        (4, "Europe/Berlin"),
    ]
    assert [(one.line, one.column, one.is_consent) for one in found if isinstance(one, ListProblem)] == [
        (3, "tz", False),
        (5, "ok", True),
    ]


def test_who_tells_no_time_zone_is_not_called() -> None:
    (problem,) = read("number\nsip:ann@example.com\n", policy=Policy())
    assert isinstance(problem, ListProblem)
    assert "time zone" in problem.problem


@given(st.binary(max_size=400), st.sampled_from(["csv", "jsonl"]))
def test_any_bytes_end_in_contacts_and_complaints_or_are_refused(raw: bytes, kind: ListKind) -> None:
    with contextlib.suppress(ListUnreadable):
        read(b"number,name\n" + raw if kind == "csv" else raw, kind)


def test_a_long_list_takes_no_more_memory_than_a_short_one() -> None:
    def endless(rows: int) -> Iterator[bytes]:
        yield b"number,name\n"
        for index in range(rows):
            yield b"+4930901%05d,Name %d\n" % (index % 100_000, index)

    def peak(rows: int) -> int:
        tracemalloc.start()
        for _ in read_list(endless(rows), "csv", BERLIN):
            pass
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(100)  # what is loaded once
    assert peak(6_000) < 2 * peak(600) + 100_000


def test_a_number_of_no_place_tells_no_zone_when_all_it_may_be_in_are_never_open_at_once() -> None:
    noon = {"windows": [{"from": "12:00", "to": "13:00"}]}
    (asked,) = read("number\n+18003569377\n", policy=Policy.model_validate(noon))
    assert isinstance(asked, ListProblem)
    assert "time zone" in asked.problem
    (usual,) = read("number\n+18003569377\n", policy=Policy.model_validate(noon | {"zone": "America/Chicago"}))
    assert isinstance(usual, Contact)
    assert usual.zone == "America/Chicago"
    (always,) = read(
        "number\n+18003569377\n", policy=Policy.model_validate({"windows": [{"from": "00:00", "to": "24:00"}]})
    )
    assert isinstance(always, Contact)
    assert len(always.zone.split()) > 10


@pytest.mark.parametrize("row", [r'"name": "\ud800"', r'"\udfff": "x"', r'"name": "a\u0000b"'])
def test_json_that_no_database_can_keep_is_told_and_does_not_end_the_reading(row: str) -> None:
    found = read('{"number": "+493090182001", ' + row + '}\n{"number": "+493090182002"}\n', "jsonl")
    assert [(line, problem) for line, _, problem in problems(found)] == [(1, "holds a zero byte or half a character")]
    assert isinstance(found[1], Contact)
    json.dumps(dict(found[1].metadata), ensure_ascii=False).encode()


def test_more_fields_than_a_call_may_have_are_told_before_anybody_is_called() -> None:
    policy = Policy.model_validate({"zone": "Europe/Berlin", "metadata": {f"fixed{index}": "x" for index in range(30)}})
    names = ",".join(f"c{index}" for index in range(21))
    (problem,) = read(f"number,{names}\n+493090182001{',x' * 21}\n", policy=policy)
    assert isinstance(problem, ListProblem)
    assert "more than 50 fields" in problem.problem


def test_a_quote_that_is_left_open_is_told_with_the_row_it_begins_in() -> None:
    text = 'number,name\n+493090182001,ok\n+493090182002,"open\n' + "+493090182003,x\n" * 100
    with pytest.raises(ListUnreadable, match=r"the row that begins in line 3: unexpected end of data"):
        read(text)


def test_a_formula_is_kept_as_the_text_that_it_is_and_is_no_number() -> None:
    found = read('number,name\n"=HYPERLINK(""http://x"")",a\n+493090182001,=1+2\n')
    assert [(line, column) for line, column, _ in problems(found)] == [(2, "number")]
    assert isinstance(found[1], Contact)
    assert found[1].metadata == {"name": "=1+2"}
