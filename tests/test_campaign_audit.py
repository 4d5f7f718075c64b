# SPDX-License-Identifier: GPL-3.0-or-later
"""The judge of campaigns has to see every fault that a campaign could have."""

from collections.abc import Sequence

import pytest

from gateway.campaigns.outcome import Outcome
from tests.campaign_audit import Attempt, Audit, Invite, audit, most_in_any_second, read_truth, shortest_span_s
from tests.simulators.sip_trunk_behaviour import Behaviour

_ONE = "+441134960001"


def _invite(at: float, behaviour: Behaviour = Behaviour.PERSON_PLAIN, message_ms: int = 0) -> Invite:
    return Invite(_ONE, f"call {at}", at, behaviour, at + 8.0, message_ms=message_ms)


def _attempt(outcome: Outcome | None, at: float = 99.9, index: int = 1) -> Attempt:
    return Attempt(_ONE, index, outcome, at, None if outcome is None else at + 8.0)


def _audit(
    attempts: Sequence[Attempt],
    invites: Sequence[Invite],
    *results: Outcome,
    killed_at: Sequence[float] = (),
) -> Audit:
    return audit([_ONE], attempts, [(_ONE, outcome) for outcome in results], invites, killed_at)


def test_a_contact_that_was_called_and_told_of_as_it_was_is_clean() -> None:
    found = _audit([_attempt(Outcome.TALKED)], [_invite(100.0)], Outcome.TALKED)
    assert found.is_clean
    assert found.outcomes == {("person_plain", "talked"): 1}


def test_each_attempt_has_its_own_invite() -> None:
    attempts = [_attempt(Outcome.BUSY), _attempt(Outcome.TALKED, 119.9, 2)]
    invites = [_invite(100.0, Behaviour.BUSY_PLAIN), _invite(120.0)]
    assert _audit(attempts, invites, Outcome.TALKED).is_clean
    assert _audit(attempts, invites[::-1], Outcome.TALKED).is_clean, "in whatever order they are told"
    swapped = [_invite(100.0), _invite(120.0, Behaviour.BUSY_PLAIN)]
    assert len(_audit(attempts, swapped, Outcome.TALKED).wrong) == 2


def test_two_invites_of_one_attempt_are_seen() -> None:
    found = _audit([_attempt(Outcome.TALKED)], [_invite(100.0), _invite(104.0)], Outcome.TALKED)
    assert found.called_twice == [f"{_ONE}, attempt 1: 2 INVITEs"]


def test_a_call_to_somebody_who_is_on_no_list_is_seen() -> None:
    assert audit([], [], [], [_invite(100.0)]).called_twice == [f"{_ONE} is on no list"]


@pytest.mark.parametrize(
    ("attempts", "invites", "results", "fault"),
    [
        ([], [_invite(100.0)], [Outcome.NOT_CALLED], "an INVITE that no attempt tells of"),
        ([_attempt(Outcome.TALKED)], [], [Outcome.TALKED], "talked, and no INVITE came"),
        ([_attempt(Outcome.TALKED)], [_invite(100.0)], [], "0 results"),
        ([_attempt(Outcome.TALKED)], [_invite(100.0)], [Outcome.TALKED] * 2, "2 results"),
        ([_attempt(None)], [_invite(100.0)], [Outcome.NOT_CALLED], "has no outcome"),
        ([_attempt(Outcome.TALKED)], [_invite(90.0)], [Outcome.TALKED], "an INVITE that no attempt tells of"),
    ],
)
def test_what_was_lost_is_seen(
    attempts: Sequence[Attempt], invites: Sequence[Invite], results: Sequence[Outcome], fault: str
) -> None:
    assert any(fault in lost for lost in _audit(attempts, invites, *results).lost)


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        (Behaviour.PERSON_HASTY, Outcome.MACHINE),
        (Behaviour.MACHINE_PLAIN, Outcome.TALKED),
        (Behaviour.MACHINE_PLAIN, Outcome.MESSAGE_LEFT),
        (Behaviour.BUSY_TONE, Outcome.NO_ANSWER),
        (Behaviour.NO_ANSWER_TONE, Outcome.BUSY),
        (Behaviour.DEAD_EARLY, Outcome.FAILED),
        (Behaviour.CONGESTION_PLAIN, Outcome.INVALID_NUMBER),
    ],
)
def test_an_outcome_that_is_not_what_happened_is_seen(behaviour: Behaviour, outcome: Outcome) -> None:
    found = _audit([_attempt(outcome)], [_invite(100.0, behaviour)], outcome)
    assert found.wrong == [f"{_ONE}, attempt 1: {behaviour.value} became {outcome.value}"]


def test_a_message_was_left_when_a_machine_has_recorded_one() -> None:
    invite = _invite(100.0, Behaviour.MACHINE_EARLY, message_ms=3000)
    assert _audit([_attempt(Outcome.MESSAGE_LEFT)], [invite], Outcome.MESSAGE_LEFT).is_clean


def test_a_result_is_the_last_attempt_s() -> None:
    found = _audit([_attempt(Outcome.BUSY)], [_invite(100.0, Behaviour.BUSY_PLAIN)], Outcome.TALKED)
    assert found.wrong == [f"{_ONE}: ended as talked, its last attempt as busy"]


@pytest.mark.parametrize("invites", [[], [_invite(100.0)]])
def test_an_attempt_is_unknown_when_its_gateway_was_killed(invites: Sequence[Invite]) -> None:
    found = _audit([_attempt(Outcome.UNKNOWN)], invites, Outcome.UNKNOWN, killed_at=[103.0])
    assert found.is_clean
    assert (found.unknown, found.unknown_not_sent) == (1, 1 - len(invites))


@pytest.mark.parametrize("killed_at", [[], [98.0], [111.0]])
def test_and_only_then(killed_at: Sequence[float]) -> None:
    found = _audit([_attempt(Outcome.UNKNOWN)], [_invite(100.0)], Outcome.UNKNOWN, killed_at=killed_at)
    assert found.wrong == [f"{_ONE}, attempt 1: is unknown, and nobody was killed meanwhile"]


def test_who_may_have_been_called_is_not_called_again() -> None:
    attempts = [_attempt(Outcome.UNKNOWN), _attempt(Outcome.TALKED, 119.9, 2)]
    found = _audit(attempts, [_invite(100.0), _invite(120.0)], Outcome.TALKED, killed_at=[103.0])
    assert found.called_twice == [f"{_ONE}, attempt 1: is unknown, and there was another one"]


def test_the_truth_s_later_word_replaces_the_earlier() -> None:
    begun = {"event": "invite", "at": 1.5, "number": _ONE, "call_id": "x", "behaviour": "fax_plain"}
    lines = [begun, {**begun, "event": "end", "ended_at": 4.0, "message_ms": None}]
    assert read_truth(lines) == [Invite(_ONE, "x", 1.5, Behaviour.FAX_PLAIN, 4.0)]
    assert read_truth(lines[:1]) == [Invite(_ONE, "x", 1.5, Behaviour.FAX_PLAIN)]


def test_the_fullest_second_is_found_wherever_it_begins() -> None:
    moments = [0.0, 0.4, 0.9, 1.0, 1.3, 5.0]
    assert most_in_any_second(moments) == 4  # 0.4 to 1.3
    assert most_in_any_second([0.0, 1.0, 2.0]) == 1
    assert shortest_span_s(moments, 3) == pytest.approx(0.9)
    assert shortest_span_s(moments, 6) == float("inf")
