# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from gateway.sip.reason import Reason, end_reason, parse_reasons, reason_of


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ('Q.850;cause=16;text="Terminated"', (Reason("Q.850", 16, "Terminated"),)),
        ('SIP ;cause=200 ;text="Call completed elsewhere"', (Reason("SIP", 200, "Call completed elsewhere"),)),
        ("q.850; cause = 31", (Reason("Q.850", 31),)),
        ('SIP;cause=580,Q.850;text="a, b;cause=1";cause=38', (Reason("SIP", 580), Reason("Q.850", 38, "a, b;cause=1"))),
        ("Q.850;text=none", ()),
        ("SIP;cause=99999", ()),
        (';;;,"', ()),
        ("", ()),
    ],
)
def test_reason_fields_are_read_and_what_is_malformed_is_left_out(text: str, reasons: tuple[Reason, ...]) -> None:
    assert parse_reasons(text) == reasons


def test_a_reason_is_written_as_it_is_read() -> None:
    reason = Reason("Q.850", 19, "No answer from user")
    assert parse_reasons(str(reason)) == (reason,)


@pytest.mark.parametrize(
    ("text", "was_answered", "name"),
    [
        ("Q.850;cause=16", True, None),
        ("Q.850;cause=31", True, None),
        ("Q.850;cause=38", True, "q850_38"),
        ("SIP;cause=408", True, "sip_408"),
        ("SIP;cause=200", True, None),
        ("SIP;cause=200", False, "answered_elsewhere"),
        ("Q.850;cause=26", False, "answered_elsewhere"),
        ("Q.850;cause=16,SIP;cause=503", True, "sip_503"),
        ("preemption;cause=1", True, None),
    ],
)
def test_the_far_ends_reason_is_named(text: str, was_answered: bool, name: str | None) -> None:
    assert end_reason(parse_reasons(text), was_answered=was_answered) == name


def test_we_say_why_we_hang_up() -> None:
    assert str(reason_of("goodbye")) == 'Q.850;cause=16;text="Normal call clearing"'
    assert reason_of("timeout").cause == 19
    assert reason_of("service_failure").cause == 41
