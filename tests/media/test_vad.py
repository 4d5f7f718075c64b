# SPDX-License-Identifier: GPL-3.0-or-later
"""Voice activity: a detector that hears, and a gate that makes up its mind."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.errors import MediaMisuse
from media.frames import FrameFlags, PcmFrame
from media.resample import resample
from media.vad import SpeechEnded, SpeechStarted, VadEvent, VadGate, WebRtcVad, mark_speech
from tests.media.sound import babble, frames, noise

RATE_HZ = 8000
FRAME = 160


def share_of_speech(samples_dbov: float, sample_rate_hz: int, frame_ms: int, voice: bool = True) -> float:
    make = babble if voice else noise
    detector = WebRtcVad(mode=3)
    heard = [
        detector.is_speech(frame) for frame in frames(make(4.0, sample_rate_hz, samples_dbov), sample_rate_hz, frame_ms)
    ]
    return sum(heard) / len(heard)


def run(gate: VadGate, pattern: str, start: int = 0, sample_rate_hz: int = RATE_HZ) -> list[VadEvent]:
    """Feed 20 ms frames, `#` speech, `.` none, blank nothing at all; return the events."""
    count = sample_rate_hz // 50
    events = []
    for index, mark in enumerate(pattern):
        if mark != " ":
            flags = FrameFlags.SPEECH if mark == "#" else FrameFlags.NONE
            gate.receive_frame(PcmFrame(bytes(2 * count), sample_rate_hz, start + index * count, 0.0, flags))
            events += gate.events()
    return events


@pytest.mark.parametrize("frame_ms", [5, 10, 20, 30, 40, 60])
@pytest.mark.parametrize("sample_rate_hz", [8000, 16000, 24000, 48000])
def test_a_voice_is_heard_and_silence_is_not_at_every_rate_and_frame_length(sample_rate_hz: int, frame_ms: int) -> None:
    assert share_of_speech(-25, sample_rate_hz, frame_ms) > 0.5
    assert share_of_speech(-75, sample_rate_hz, frame_ms, voice=False) < 0.1


@pytest.mark.parametrize("sample_rate_hz", [16000, 24000, 48000])
def test_the_rate_hardly_changes_the_judgement(sample_rate_hz: int) -> None:
    assert share_of_speech(-25, sample_rate_hz, 20) == pytest.approx(share_of_speech(-25, 8000, 20), abs=0.2)


def test_24_khz_is_judged_as_the_same_audio_at_8_khz() -> None:
    fine = np.concatenate(
        [part for seed in range(8) for part in (babble(0.3, 24000, -30, seed), np.zeros(6000, np.int16))]
    )
    judgements = []
    for samples, sample_rate_hz in ((fine, 24000), (resample(fine, 24000, 8000), 8000)):
        detector = WebRtcVad(mode=3)
        judgements.append([detector.is_speech(frame) for frame in frames(samples, sample_rate_hz)])
    same = [a == b for a, b in zip(*judgements, strict=True)]
    assert sum(same) > 0.9 * len(same)
    assert 0.2 < sum(judgements[0]) / len(same) < 0.9


def test_frames_that_fit_no_part_are_judged_with_what_was_left_over() -> None:
    detector = WebRtcVad()
    judged = [detector.is_speech(frame) for frame in frames(babble(2.0, RATE_HZ, -20), RATE_HZ, frame_ms=25)]
    assert any(judged)
    assert not all(judged)


def test_a_change_of_rate_within_a_call_is_survived() -> None:
    detector = WebRtcVad()
    for sample_rate_hz in (8000, 16000, 24000, 48000, 8000):
        voice = babble(1.0, sample_rate_hz, -20)
        assert any(detector.is_speech(frame) for frame in frames(voice, sample_rate_hz, frame_ms=25))


def test_a_frame_too_short_to_judge_repeats_the_last_judgement() -> None:
    detector = WebRtcVad()
    assert not detector.is_speech(PcmFrame(bytes(16), RATE_HZ, 0, 0.0))
    loud = [frame for frame in frames(babble(1.0, RATE_HZ, -10), RATE_HZ) if detector.is_speech(frame)]
    assert detector.is_speech(loud[-1])
    assert detector.is_speech(PcmFrame(b"", RATE_HZ, 0, 0.0))


def test_rates_and_modes_that_do_not_exist_are_refused() -> None:
    with pytest.raises(MediaMisuse, match="mode 4"):
        WebRtcVad(mode=4)
    with pytest.raises(MediaMisuse, match="11025"):
        WebRtcVad().is_speech(PcmFrame(bytes(440), 11025, 0, 0.0))


class Heard:
    """A detector that always says the same."""

    def __init__(self, speech: bool) -> None:
        self._speech = speech

    def is_speech(self, frame: PcmFrame) -> bool:
        return self._speech


def test_marking_sets_and_clears_the_flag_and_keeps_the_others() -> None:
    frame = PcmFrame(bytes(320), RATE_HZ, 0, 0.0, FrameFlags.CONCEALED)
    marked = mark_speech(frame, Heard(True))
    assert marked.flags == FrameFlags.CONCEALED | FrameFlags.SPEECH
    assert mark_speech(marked, Heard(True)) is marked
    assert mark_speech(marked, Heard(False)) == frame


def test_a_dtmf_digit_is_not_speech() -> None:
    frame = PcmFrame(bytes(320), RATE_HZ, 0, 0.0, FrameFlags.DTMF)
    assert mark_speech(frame, Heard(True)) is frame


def test_speech_starts_at_its_first_sample_and_ends_after_its_last() -> None:
    assert run(VadGate(start_ms=60, end_ms=100), "..####.......") == [
        SpeechStarted(2 * FRAME, 5 * FRAME, RATE_HZ),
        SpeechEnded(6 * FRAME, 11 * FRAME, RATE_HZ),
    ]


def test_a_cough_shorter_than_the_start_is_no_speech() -> None:
    assert run(VadGate(start_ms=60, end_ms=100), ".##.##.#.##...") == []


def test_a_pause_shorter_than_the_end_does_not_end_it() -> None:
    gate = VadGate(start_ms=40, end_ms=100)
    assert run(gate, "##....#....#....") == [SpeechStarted(0, 2 * FRAME, RATE_HZ)]
    assert gate.speaking
    assert run(gate, ".", start=16 * FRAME) == [SpeechEnded(12 * FRAME, 17 * FRAME, RATE_HZ)]
    assert not gate.speaking


def test_without_hysteresis_every_frame_counts() -> None:
    kinds = [type(event) for event in run(VadGate(0, 0), "#.#.")]
    assert kinds == [SpeechStarted, SpeechEnded, SpeechStarted, SpeechEnded]


def test_a_gap_in_the_timeline_is_silence() -> None:
    assert run(VadGate(start_ms=20, end_ms=100), "##     #") == [
        SpeechStarted(0, FRAME, RATE_HZ),
        SpeechEnded(2 * FRAME, 7 * FRAME, RATE_HZ),
        SpeechStarted(7 * FRAME, 8 * FRAME, RATE_HZ),
    ]
    assert run(VadGate(start_ms=20, end_ms=100), "##    #") == [SpeechStarted(0, FRAME, RATE_HZ)]
    assert run(VadGate(start_ms=40, end_ms=100), "# #") == []


def test_a_jump_back_or_a_new_rate_ends_the_speech() -> None:
    gate = VadGate(start_ms=20, end_ms=100)
    assert run(gate, "##", start=8000) == [SpeechStarted(8000, 8160, RATE_HZ)]
    assert run(gate, "##", start=0) == [SpeechEnded(8320, 8320, RATE_HZ), SpeechStarted(0, 160, RATE_HZ)]
    assert run(gate, "##", start=640, sample_rate_hz=16000) == [
        SpeechEnded(320, 320, RATE_HZ),
        SpeechStarted(640, 960, 16000),
    ]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.text(alphabet="#. ", max_size=60), st.integers(0, 120), st.integers(0, 120))
def test_starts_and_ends_take_turns_and_lie_in_order(pattern: str, start_ms: int, end_ms: int) -> None:
    events = run(VadGate(start_ms, end_ms), pattern)
    for index, event in enumerate(events):
        assert isinstance(event, SpeechStarted if index % 2 == 0 else SpeechEnded)
        assert event.position_samples <= event.detected_at_samples
        frame = event.position_samples // FRAME - index % 2
        assert pattern[frame] == "#"
    positions = [event.position_samples for event in events]
    assert positions == sorted(positions)


def test_a_gate_of_negative_length_is_refused() -> None:
    with pytest.raises(MediaMisuse):
        VadGate(-1, 100)


def test_the_detector_and_the_gate_find_two_words_in_silence() -> None:
    pause, word = np.zeros(8000, np.int16), babble(1.0, RATE_HZ, -20)
    detector, gate = WebRtcVad(), VadGate(start_ms=60, end_ms=400)
    events: list[VadEvent] = []
    for frame in frames(np.concatenate((pause, word, pause, word, pause)), RATE_HZ):
        gate.receive_frame(mark_speech(frame, detector))
        events += gate.events()
    starts = [event.position_samples / RATE_HZ for event in events if isinstance(event, SpeechStarted)]
    ends = [event.position_samples / RATE_HZ for event in events if isinstance(event, SpeechEnded)]
    assert starts == pytest.approx([1.0, 3.0], abs=0.3)
    assert ends == pytest.approx([2.0, 4.0], abs=0.3)
