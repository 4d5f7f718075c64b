# SPDX-License-Identifier: GPL-3.0-or-later
"""What comes before the answer of a call that we placed."""

import numpy as np

from agent.config import AgentConfig, FarEndConfig
from agent.early_ear import EarlyEar
from agent.far_end import EndCall, FarEndEvent, FarEndKind, FarEndRecognized, LeaveMessage
from media.frames import PcmFrame, PcmSamples
from media.tones import silence, tone
from tests.fakes.services import ScriptedModel

_FRAME = 160


class Line:
    """A far end that sends early media."""

    def __init__(self, far_end: FarEndConfig | None = None) -> None:
        self.ear = EarlyEar(AgentConfig(far_end=far_end or FarEndConfig()), ScriptedModel, 8000)
        self.told: list[FarEndEvent] = []
        self.now = 100.0
        self._position = 0

    def send(self, samples: PcmSamples) -> None:
        for begin in range(0, len(samples) - _FRAME + 1, _FRAME):
            pcm = samples[begin : begin + _FRAME].astype("<i2").tobytes()
            self.now += 0.02
            self.told += self.ear.receive_frames([PcmFrame(pcm, 8000, self._position, self.now)])
            self._position += _FRAME


def information_tones() -> PcmSamples:
    parts = ((985.2, 380), (1370.6, 274), (1776.7, 380))
    return np.concatenate([*(tone((hz,), ms, 8000) for hz, ms in parts), silence(400, 8000)])


def test_information_tones_end_the_call_before_it_is_answered() -> None:
    line = Line()
    line.send(information_tones())
    assert [type(event) for event in line.told] == [FarEndRecognized, EndCall]
    assert line.ear.watch.far_end.kind is FarEndKind.FAILED
    assert line.told[1] == EndCall("not_in_service")


def test_a_ringing_tone_tells_nothing() -> None:
    line = Line()
    ring = np.concatenate([tone((440.0, 480.0), 2_000, 8000), silence(4_000, 8000)])
    line.send(np.tile(ring, 3))
    assert not line.told
    assert line.ear.watch.far_end.kind is FarEndKind.UNKNOWN


def test_a_message_waits_for_the_answer() -> None:
    line = Line(FarEndConfig(voicemail="message", message="Call us back."))
    line.ear.watch.far_end.receive_words("please leave a message after the tone", line.now, is_final=True)
    line.send(np.concatenate([tone((1000.0,), 400, 8000), silence(600, 8000)]))
    assert [event.kind for event in line.told if isinstance(event, FarEndRecognized)] == [FarEndKind.VOICEMAIL]
    line.ear.answered(line.now)
    assert LeaveMessage("Call us back.", "voicemail_message") in line.ear.kept
    assert line.ear.watch.far_end.is_answered


def test_frames_of_another_rate_are_no_fault() -> None:
    line = Line()
    line.send(silence(200, 8000))
    frame = PcmFrame(bytes(640), 16_000, 0, line.now + 0.02)
    assert not line.ear.receive_frames([frame])
