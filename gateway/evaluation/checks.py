# SPDX-License-Identifier: GPL-3.0-or-later
"""Expectations against what happened: pure, one `Check` for each expectation and repetition."""

import math
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.evaluation.scenario import Scenario, StepExpectation

_WORD = re.compile(r"[^\w']+")


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """One step of one call; times in milliseconds since the call was answered."""

    label: str
    began_ms: float
    ended_ms: float
    speech_ended_ms: float | None
    """None: nothing was said."""
    heard: str
    understood: str | None
    """None: the gateway's record is not there."""
    response_ms: float | None
    """From the end of the speech; negative: into it. None: no answer, or nothing to answer."""
    stopped_ms: float | None
    """From the first sample of the utterance to the agent's silence; None: it did not stop for it."""
    was_in_time: bool = True


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """One call."""

    answered: bool
    heard: str
    """Everything, the greeting first."""
    steps: tuple[StepOutcome, ...]
    hung_up_by: str
    duration_s: float
    reason: str = ""
    record: Mapping[str, Any] | None = None
    """The gateway's session record."""
    greeting: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation, and whether it was met."""

    what: str
    passed: bool
    detail: str


def check(scenario: Scenario, calls: Sequence[CallOutcome]) -> list[Check]:
    """Every expectation of the scenario on every call, then those about all of them."""
    checks: list[Check] = []
    for number, call in enumerate(calls, 1):
        where = f"call {number}: " if len(calls) > 1 else ""
        checks += [Check(where + one.what, one.passed, one.detail) for one in _of_call(scenario, call)]
    checks += _of_all(scenario, calls)
    return checks


def _of_call(scenario: Scenario, call: CallOutcome) -> Iterator[Check]:
    if not call.answered:
        yield Check("the call is answered", False, call.reason)
        return
    for number, step in enumerate(scenario.step, 1):
        where = f"step {number}: "
        if number > len(call.steps):
            yield Check(where + "it is reached", False, f"the call was over: {call.hung_up_by} hung up")
            continue
        outcome = call.steps[number - 1]
        if not outcome.was_in_time:
            yield Check(where + "there is an answer to speak into", False, "the agent said nothing")
        for one in _of_step(step.expect, outcome):
            yield Check(where + one.what, one.passed, one.detail)
    expect = scenario.expect
    if expect.heard is not None:
        yield _found("heard in the call", expect.heard, call.heard, wanted=True)
    if expect.not_heard is not None:
        yield _found("heard in the call", expect.not_heard, call.heard, wanted=False)
    if expect.hung_up_by is not None:
        yield Check(f"the {expect.hung_up_by} hangs up", call.hung_up_by == expect.hung_up_by, f"{call.hung_up_by} did")
    if expect.min_duration_s is not None:
        detail = f"{call.duration_s:.1f} s"
        yield Check(f"it lasts at least {expect.min_duration_s:g} s", call.duration_s >= expect.min_duration_s, detail)
    if expect.max_duration_s is not None:
        detail = f"{call.duration_s:.1f} s"
        yield Check(f"it lasts at most {expect.max_duration_s:g} s", call.duration_s <= expect.max_duration_s, detail)
    if expect.end_reason is not None:
        reason = None if call.record is None else call.record.get("end_reason")
        yield Check(f"it ends with {expect.end_reason}", reason == expect.end_reason, reason or "no session record")
    for tool in expect.tools:
        called = tools_called(call.record)
        yield Check(f"the tool {tool} is called", tool in called, ", ".join(called) or "none was called")


def _of_step(expect: StepExpectation, step: StepOutcome) -> Iterator[Check]:
    if expect.heard is not None:
        yield _found("heard", expect.heard, step.heard, wanted=True)
    if expect.not_heard is not None:
        yield _found("heard", expect.not_heard, step.heard, wanted=False)
    if expect.heard_text is not None:
        yield _worded("heard", expect.heard_text, step.heard, expect.max_word_error)
    if expect.understood is not None:
        yield _found("understood", expect.understood, step.understood or "", wanted=True)
    if expect.understood_text is not None:
        yield _worded("understood", expect.understood_text, step.understood or "", expect.max_word_error)
    if expect.answered is not None:
        what = "there is an answer" if expect.answered else "there is no answer"
        yield Check(what, bool(step.heard) == expect.answered, step.heard or "nothing was heard")
    took = "no answer" if step.response_ms is None else f"{step.response_ms:.0f} ms"
    if expect.max_response_ms is not None:
        fast = step.response_ms is not None and step.response_ms <= expect.max_response_ms
        yield Check(f"it answers within {expect.max_response_ms} ms", fast, took)
    if expect.min_response_ms is not None:
        late = step.response_ms is None or step.response_ms >= expect.min_response_ms
        yield Check(f"it does not answer before {expect.min_response_ms} ms", late, took)
    stopped = "it did not stop" if step.stopped_ms is None else f"silent after {step.stopped_ms:.0f} ms"
    if expect.stops is not None:
        what = "it stops" if expect.stops else "it goes on"
        yield Check(what, (step.stopped_ms is not None) == expect.stops, stopped)
    if expect.stops_within_ms is not None:
        fast = step.stopped_ms is not None and step.stopped_ms <= expect.stops_within_ms
        yield Check(f"it stops within {expect.stops_within_ms} ms", fast, stopped)


def _of_all(scenario: Scenario, calls: Sequence[CallOutcome]) -> Iterator[Check]:
    times = response_times(calls)
    for name, share, limit in (
        ("p50", 0.5, scenario.expect.p50_response_ms),
        ("p95", 0.95, scenario.expect.p95_response_ms),
    ):
        if limit is not None:
            found = percentile(times, share)
            detail = f"{found:.0f} ms of {len(times)} answers" if times else "there was no answer"
            yield Check(f"{name} of the response within {limit} ms", bool(times) and found <= limit, detail)


def response_times(calls: Sequence[CallOutcome]) -> list[float]:
    """Of every answer, in milliseconds."""
    return [step.response_ms for call in calls for step in call.steps if step.response_ms is not None]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so many are not above; the median of an even number is the mean of the middle two."""
    if not values:
        return math.nan
    if share == 0.5:
        return statistics.median(values)
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def word_error(expected: str, found: str) -> float:
    """Words that are wrong, missing or too many, in proportion to those expected (Levenshtein)."""
    wanted, words = _words(expected), _words(found)
    row = list(range(len(words) + 1))
    for number, want in enumerate(wanted, 1):
        before, row[0] = row[0], number
        for index, word in enumerate(words, 1):
            before, row[index] = row[index], min(row[index] + 1, row[index - 1] + 1, before + (want != word))
    return row[-1] / max(1, len(wanted))


def tools_called(record: Mapping[str, Any] | None) -> list[str]:
    """As the session record tells it: its transcript has `NAME: OUTCOME` under the role `tool`."""
    if record is None:
        return []
    entries = (entry for entry in record.get("transcript") or () if entry["role"] == "tool")
    named = [str(entry["text"]).partition(":")[0] for entry in entries]
    return named + (["hang_up"] if record.get("end_reason") == "goodbye" else [])


def _words(text: str) -> list[str]:
    return [word for word in _WORD.split(text.lower()) if word]


def _found(where: str, pattern: re.Pattern[str], text: str, *, wanted: bool) -> Check:
    what = f"{'' if wanted else 'not '}{where}: {pattern.pattern}"
    return Check(what, bool(pattern.search(text)) == wanted, text or "nothing")


def _worded(where: str, expected: str, text: str, limit: float) -> Check:
    error = word_error(expected, text)
    return Check(f"{where}: {expected}", error <= limit, f"{100 * error:.0f} % of the words wrong: {text or 'nothing'}")
