# SPDX-License-Identifier: GPL-3.0-or-later
"""The caller's line: voice, noise and echo, sample by sample."""

from itertools import count

import numpy as np

from gateway.evaluation.mouth import FRAME_S, LEAD_MS, Mouth, Utterance
from media.frames import PcmFrame, PcmSamples
from media.playout import UtteranceFinished, UtteranceStarted

RATE_HZ = 8000
FRAME = 160


class Playout:
    """A line that takes everything; `run` sends a frame of it and gives one of what was heard."""

    sample_rate_hz = RATE_HZ

    def __init__(self) -> None:
        self.written = np.zeros(0, np.int16)
        self.ids: list[int] = []
        self.ended: list[int] = []
        self._sent = 0

    @property
    def queued_ms(self) -> float:
        return (len(self.written) - self._sent) * 1000 / RATE_HZ

    def play(self, utterance_id: int, pcm: bytes, sample_rate_hz: int = 0) -> int:
        samples = np.frombuffer(pcm, "<i2")
        self.written = np.concatenate((self.written, samples))
        self.ids += [utterance_id] * len(samples)
        return len(samples)

    def end_utterance(self, utterance_id: int) -> None:
        self.ended.append(utterance_id)

    def send(self) -> None:
        self._sent = min(len(self.written), self._sent + FRAME)


def heard(position: int, level: int = 0) -> PcmFrame:
    return PcmFrame(np.full(FRAME, level, "<i2").tobytes(), RATE_HZ, position * FRAME, position * FRAME_S)


def voice(seconds: float, level: int = 3000) -> PcmSamples:
    return np.full(round(seconds * RATE_HZ), level, np.int16)


def test_on_a_clean_line_an_utterance_is_written_at_once_and_nothing_else() -> None:
    line = Playout()
    mouth = Mouth(line, count(1).__next__, None, None)
    mouth.receive_frames([heard(0)])
    assert len(line.written) == 0
    mouth.say(Utterance(voice(1.0), RATE_HZ))
    assert len(line.written) == RATE_HZ
    assert line.ended == [1]
    assert mouth.lead_ms == 0


def test_an_utterance_begins_when_its_first_sample_left_the_mouth() -> None:
    mouth = Mouth(Playout(), count(1).__next__, None, None)
    utterance = Utterance(voice(0.1), RATE_HZ)
    mouth.say(utterance)
    mouth.receive_playout(UtteranceStarted(7, 50.0))
    assert utterance.began_at is None
    mouth.receive_playout(UtteranceStarted(1, 60.0))
    assert utterance.began_at == 60.0 - FRAME_S
    mouth.receive_playout(UtteranceFinished(1, 800, 60.1))
    assert utterance.is_over


def test_noise_never_ends_and_lies_under_the_voice() -> None:
    line = Playout()
    noise = np.arange(1, 1001, dtype=np.int16)
    mouth = Mouth(line, count(1).__next__, noise, None)
    for position in range(50):
        if position == 20:
            mouth.say(Utterance(voice(0.2), RATE_HZ))
        mouth.receive_frames([heard(position)])
        assert LEAD_MS <= line.queued_ms < LEAD_MS + 20
        line.send()
    expected = np.resize(noise, len(line.written)).astype(int)
    spoken = np.flatnonzero(np.array(line.ids) == 2)
    assert len(spoken) == 1600
    expected[spoken] += 3000
    assert np.array_equal(line.written, expected)
    assert line.ids[-1] == 3  # after the utterance, the line goes on under another id


def test_echo_comes_back_at_its_delay_and_level() -> None:
    line = Playout()
    mouth = Mouth(line, count(1).__next__, None, (200.0, 20.0))
    for position in range(100):
        # A frame has been heard by the end of its 20 ms; by then the same number of frames was sent.
        mouth.receive_frames([heard(position, 10_000 if position == 30 else 0)])
        line.send()
    loud = np.flatnonzero(line.written)
    assert np.all(line.written[loud] == 1000)
    assert len(loud) == FRAME
    assert loud[0] == 30 * FRAME + 180 * RATE_HZ // 1000  # at 200 ms, less the frame that was not sent yet
