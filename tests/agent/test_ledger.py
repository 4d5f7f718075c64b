# SPDX-License-Identifier: GPL-3.0-or-later
"""The latency ledger."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ledger import LedgerMarks, Stage


def marked(spoken_at: float, **at: float) -> LedgerMarks:
    marks = LedgerMarks(spoken_at)
    for name, moment in at.items():
        marks.mark(Stage(name), moment)
    return marks


def test_a_segment_is_the_time_from_one_mark_to_the_next() -> None:
    marks = marked(
        100.0,
        arrival=100.01,
        endpointing=100.21,
        stt_final=100.26,
        llm_first_token=100.27,
        first_clause=100.28,
        tts_first_byte=100.38,
        first_sample_written=100.381,
        first_packet_sent=100.4,
    )
    ledger = marks.measure(3, interrupted=False)
    assert ledger is not None
    assert ledger.segments_ms == {
        "arrival": 10.0,
        "endpointing": 200.0,
        "stt_final": 50.0,
        "llm_first_token": 10.0,
        "first_clause": 10.0,
        "tts_first_byte": 100.0,
        "first_sample_written": 1.0,
        "first_packet_sent": 19.0,
    }
    assert (ledger.turn_index, ledger.response_ms, ledger.interrupted) == (3, 400.0, False)


def test_a_turn_without_sound_has_no_ledger() -> None:
    assert marked(1.0, arrival=1.1, endpointing=1.2).measure(0, interrupted=False) is None


def test_work_done_ahead_takes_no_time() -> None:
    ledger = marked(1.0, endpointing=1.5, stt_final=1.2, first_packet_sent=1.6).measure(0, interrupted=False)
    assert ledger is not None
    assert (ledger.segments_ms["endpointing"], ledger.segments_ms["stt_final"]) == (500.0, 0.0)
    assert ledger.response_ms == 600.0


def test_only_the_first_time_counts() -> None:
    marks = marked(1.0, tts_first_byte=1.1, first_packet_sent=1.2)
    marks.mark(Stage.TTS_FIRST_BYTE, 1.15)
    ledger = marks.measure(0, interrupted=False)
    assert ledger is not None
    assert ledger.segments_ms["tts_first_byte"] == 100.0


@given(
    st.floats(0, 1e6),
    st.dictionaries(st.sampled_from(list(Stage)), st.floats(-10, 10)),
    st.floats(0, 10),
)
def test_the_segments_always_sum_to_the_response_time(
    spoken_at: float, offsets: dict[Stage, float], sent: float
) -> None:
    marks = LedgerMarks(spoken_at)
    for stage, offset in offsets.items():
        if stage is not Stage.FIRST_PACKET_SENT:
            marks.mark(stage, spoken_at + offset)
    marks.mark(Stage.FIRST_PACKET_SENT, spoken_at + sent)
    ledger = marks.measure(0, interrupted=True)
    assert ledger is not None
    assert list(ledger.segments_ms) == [stage.value for stage in Stage]
    assert min(ledger.segments_ms.values()) >= 0
    assert sum(ledger.segments_ms.values()) == pytest.approx(ledger.response_ms, abs=1e-6)
    assert ledger.response_ms == pytest.approx(sent * 1e3, abs=0.01)


def test_our_own_share_is_what_was_not_waited_for() -> None:
    marks = marked(100.0, arrival=100.01, endpointing=100.2, stt_final=100.3)
    marks.waited(100.1, 100.25)  # before the turn was known
    marks.waited(100.305, 100.4)  # 5 ms after it was
    marks.waited(100.35, 100.5)  # beside the wait before
    marks.waited(100.502, 100.59)
    marks.mark(Stage.FIRST_PACKET_SENT, 100.6)
    ledger = marks.measure(0, interrupted=False)
    assert ledger is not None
    assert ledger.own_ms == pytest.approx(10 + 5 + 2 + 10)


def test_what_an_answer_begun_ahead_has_waited_for_is_no_share_of_ours() -> None:
    ahead = marked(100.0, llm_first_token=100.35)
    ahead.waited(100.1, 100.35)
    marks = marked(100.0, endpointing=100.2, stt_final=100.3, first_packet_sent=100.4)
    marks.merge_ahead(ahead)
    ledger = marks.measure(0, interrupted=False)
    assert ledger is not None
    assert ledger.speculative
    assert ledger.own_ms == pytest.approx(50)
    assert ledger.segments_ms["llm_first_token"] == pytest.approx(50)


def test_waits_after_the_first_packet_do_not_count() -> None:
    marks = marked(100.0, endpointing=100.2, stt_final=100.2)
    marks.waited(100.2, 100.3)
    marks.mark(Stage.FIRST_PACKET_SENT, 100.31)
    marks.waited(100.31, 105.0)
    ledger = marks.measure(0, interrupted=False)
    assert ledger is not None
    assert ledger.own_ms == pytest.approx(10)
