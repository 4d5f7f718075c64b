# SPDX-License-Identifier: GPL-3.0-or-later
"""Expectations against what happened."""

from typing import Any

import pytest

from gateway.evaluation.checks import CallOutcome, Check, StepOutcome, check, percentile, word_error
from gateway.evaluation.scenario import Scenario


def scenario(step: dict[str, Any], **expect: Any) -> Scenario:
    return Scenario.model_validate(
        {"name": "test", "step": [{"say": "When do you open?", "expect": step}], "expect": expect}
    )


def step(**changes: Any) -> StepOutcome:
    values: dict[str, Any] = {
        "label": "When do you open?",
        "began_ms": 3000.0,
        "ended_ms": 9000.0,
        "speech_ended_ms": 4200.0,
        "heard": "We open at eight.",
        "understood": "When do you open?",
        "response_ms": 450.0,
        "stopped_ms": None,
    }
    return StepOutcome(**{**values, **changes})


def call(*steps: StepOutcome, **changes: Any) -> CallOutcome:
    values: dict[str, Any] = {
        "answered": True,
        "heard": "Hello. We open at eight.",
        "steps": steps,
        "hung_up_by": "caller",
        "duration_s": 9.0,
    }
    return CallOutcome(**{**values, **changes})


def only(checks: list[Check]) -> Check:
    assert len(checks) == 1, checks
    return checks[0]


@pytest.mark.parametrize(
    ("expectation", "outcome", "passed"),
    [
        ({"heard": "at eight"}, {}, True),
        ({"heard": "at nine"}, {}, False),
        ({"not_heard": "at nine"}, {}, True),
        ({"not_heard": "at eight"}, {}, False),
        ({"heard_text": "we open at eight"}, {}, True),
        ({"heard_text": "we close at nine"}, {}, False),
        ({"heard_text": "we close at nine", "max_word_error": 0.5}, {}, True),
        ({"understood": "open"}, {}, True),
        ({"understood": "open"}, {"understood": None}, False),
        ({"understood_text": "when do you open"}, {"understood": "then do you hope"}, False),
        ({"answered": True}, {}, True),
        ({"answered": True}, {"heard": ""}, False),
        ({"answered": False}, {"heard": ""}, True),
        ({"max_response_ms": 450}, {}, True),
        ({"max_response_ms": 449}, {}, False),
        ({"max_response_ms": 449}, {"response_ms": None}, False),
        ({"min_response_ms": 0}, {"response_ms": -20.0}, False),
        ({"min_response_ms": 0}, {"response_ms": None}, True),
        ({"stops": True}, {"stopped_ms": 300.0}, True),
        ({"stops": True}, {}, False),
        ({"stops": False}, {}, True),
        ({"stops": False}, {"stopped_ms": 300.0}, False),
        ({"stops_within_ms": 250}, {"stopped_ms": 300.0}, False),
        ({"stops_within_ms": 250}, {}, False),
    ],
)
def test_what_is_expected_of_a_step(expectation: dict[str, Any], outcome: dict[str, Any], passed: bool) -> None:
    assert only(check(scenario(expectation), [call(step(**outcome))])).passed is passed


@pytest.mark.parametrize(
    ("expectation", "outcome", "passed"),
    [
        ({"heard": "hello"}, {}, True),
        ({"not_heard": "hello"}, {}, False),
        ({"hung_up_by": "agent"}, {}, False),
        ({"min_duration_s": 10}, {}, False),
        ({"max_duration_s": 10}, {}, True),
        ({"end_reason": "goodbye"}, {"record": {"end_reason": "goodbye"}}, True),
        ({"end_reason": "goodbye"}, {"record": {"end_reason": "caller_hung_up"}}, False),
        ({"end_reason": "goodbye"}, {}, False),
        ({"tools": ["hang_up"]}, {"record": {"end_reason": "goodbye"}}, True),
        ({"tools": ["book"]}, {"record": {"transcript": [{"role": "tool", "text": "book: ok"}]}}, True),
        ({"tools": ["book"]}, {"record": {}}, False),
    ],
)
def test_what_is_expected_of_a_call(expectation: dict[str, Any], outcome: dict[str, Any], passed: bool) -> None:
    assert only(check(scenario({}, **expectation), [call(step(), **outcome)])).passed is passed


def test_a_call_that_is_not_answered_meets_nothing() -> None:
    found = only(check(scenario({"heard": "eight"}), [call(answered=False, reason="503 Service Unavailable")]))
    assert not found.passed
    assert "503" in found.detail


def test_a_step_that_was_not_reached_is_not_met() -> None:
    found = only(check(scenario({"answered": False}), [call(hung_up_by="agent")]))
    assert (found.what, found.passed) == ("step 1: it is reached", False)


def test_an_interruption_of_nothing_is_not_met() -> None:
    found = only(check(scenario({}), [call(step(was_in_time=False))]))
    assert not found.passed


def test_every_repetition_is_checked_and_the_times_of_all_together() -> None:
    times = [400.0, 500.0, 600.0, 5000.0]
    calls = [call(step(response_ms=one)) for one in times]
    checks = check(scenario({"max_response_ms": 1000}, p50_response_ms=550, p95_response_ms=1000), calls)
    assert [one.passed for one in checks] == [True, True, True, False, True, False]
    assert checks[3].what.startswith("call 4: step 1: ")
    assert checks[-1].detail == "5000 ms of 4 answers"


@pytest.mark.parametrize(("share", "wanted"), [(0.5, 50.5), (0.95, 95), (1.0, 100)])
def test_percentiles(share: float, wanted: float) -> None:
    assert percentile([float(value) for value in range(100, 0, -1)], share) == wanted


@pytest.mark.parametrize(
    ("expected", "found", "error"),
    [
        ("We open at eight.", "we open at eight", 0.0),
        ("We open at eight.", "we open eight", 0.25),
        ("We open at eight.", "we do open at nine", 0.5),
        ("We open.", "", 1.0),
        ("", "well", 1.0),
    ],
)
def test_word_error_counts_wrong_missing_and_surplus_words(expected: str, found: str, error: float) -> None:
    assert word_error(expected, found) == error
