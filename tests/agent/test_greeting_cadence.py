# SPDX-License-Identifier: GPL-3.0-or-later
"""Who answered, by length and pauses alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.greeting_cadence import (
    CadenceEvidence,
    GreetingCadence,
    GreetingPaused,
    SoundsLikePerson,
    SoundsLikeRecording,
)

BEGIN = 100.0


def told(
    *lengths_s: float, understood: bool = False, least_wait_s: float = 0.0
) -> list[tuple[float, type[CadenceEvidence]]]:
    """What follows from speech and silence in turn, each so long, and when (from the first sound)."""
    cadence, now, found = GreetingCadence(), BEGIN, []
    for index, length_s in enumerate(lengths_s):
        if index % 2 == 0:
            cadence.receive_speech(now)
        else:
            cadence.receive_silence(now)
        if understood:
            cadence.receive_words(least_wait_s)
        end = now + length_s
        while (due := cadence.next_timeout()) is not None and due < end:
            cadence.handle_timeout(due)
            found += [(round(due - BEGIN, 3), type(evidence)) for evidence in cadence.evidence()]
        now = end
    return found


def test_a_hello_and_a_silence_are_a_persons() -> None:
    assert told(0.5, 3.0) == [(0.75, GreetingPaused), (1.1, SoundsLikePerson)]


def test_the_more_was_said_the_longer_must_a_person_wait() -> None:
    assert told(1.4, 3.0)[-1] == (2.2, SoundsLikePerson)
    assert told(2.8, 3.0)[-1] == (3.9, SoundsLikePerson)


def test_a_click_or_a_note_is_hardly_a_persons_word() -> None:
    assert told(0.15, 3.0)[-1] == (1.65, SoundsLikePerson)


def test_a_pause_for_breath_is_none() -> None:
    assert told(0.6, 0.25, 0.6, 0.25, 0.4, 0.1) == []


def test_who_goes_on_for_three_seconds_and_a_half_is_a_recording_and_after_eight_certainly() -> None:
    assert told(9.0) == [(3.5, SoundsLikeRecording), (8.0, SoundsLikeRecording)]


def test_short_pauses_do_not_stop_the_count() -> None:
    assert told(1.5, 0.4, 1.2, 0.4, 2.0)[-1] == (4.3, SoundsLikeRecording)  # 3.5 s of speech


def test_one_who_is_understood_may_go_on_for_longer() -> None:
    assert told(9.0, understood=True)[0] == (5.0, SoundsLikeRecording)


def test_one_who_answers_for_a_firm_was_no_recording_when_nothing_follows() -> None:
    assert told(4.0, 4.0)[-1] == (5.8, SoundsLikePerson)
    assert told(6.0, 9.0)[-1][1] is not SoundsLikePerson


def test_after_a_name_a_person_has_to_wait_longer() -> None:
    assert told(0.8, 3.0, understood=True, least_wait_s=0.9)[-1] == (1.7, SoundsLikePerson)


def test_a_person_is_less_certain_who_was_taken_for_a_recording() -> None:
    cadence = GreetingCadence()
    cadence.receive_speech(0.0)
    cadence.handle_timeout(4.0)
    cadence.receive_silence(4.0)
    cadence.handle_timeout(10.0)
    confidences = [one.confidence for one in cadence.evidence() if isinstance(one, SoundsLikePerson)]
    assert confidences == [0.6]


@given(st.lists(st.floats(0.01, 6.0), min_size=1, max_size=12))
def test_every_timeout_leads_on_and_nothing_follows_a_person(lengths_s: list[float]) -> None:
    cadence, now = GreetingCadence(), BEGIN
    found: list[CadenceEvidence] = []
    for index, length_s in enumerate(lengths_s):
        (cadence.receive_silence if index % 2 else cadence.receive_speech)(now)
        now += length_s
        for _ in range(5):
            due = cadence.next_timeout()
            if due is None or due > now:
                break
            cadence.handle_timeout(due)
            found += cadence.evidence()
        else:
            pytest.fail("it asks to be called again and again")
    people = [index for index, one in enumerate(found) if isinstance(one, SoundsLikePerson)]
    assert people in ([], [len(found) - 1])
