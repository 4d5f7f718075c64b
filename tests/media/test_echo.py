# SPDX-License-Identifier: GPL-3.0-or-later
"""The echo gate on seeded lines, with recorded voices: ours does not count, the caller's does.

What the detectors after the gate would make of it is stood in for by a `VadGate` that takes as much speech as barge-in
does; tests/e2e has the real ones.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pytest
from numpy.typing import NDArray

from media.echo import EchoGate
from media.frames import FrameFlags, PcmFrame, PcmSamples
from media.resample import resample
from media.vad import SpeechStarted, VadGate, WebRtcVad, mark_speech
from tests.agent.local.recordings import over_the_line, prompts
from tests.media.echo_line import EchoLine, Kind
from tests.media.sound import at_level, noise, sine

RATE_HZ = 8000
FRAME = 160
BARGE_IN_MS = 120


@lru_cache
def recorded(first: int, count: int, level_dbov: float, gap_s: float = 0.8) -> PcmSamples:
    """Sentences of one voice with gaps between, brought to a level; the same `first` gives the same sentences."""
    pieces: list[NDArray[np.float64]] = [np.zeros(RATE_HZ // 2)]
    for path, _ in list(prompts().values())[first : first + count]:
        pieces += [over_the_line(path).astype(np.float64), np.zeros(round(gap_s * RATE_HZ))]
    speech = np.concatenate(pieces)
    voiced = speech[np.abs(speech) > 300]
    scaled = speech * (32768 * 10 ** (level_dbov / 20) / np.sqrt(np.mean(voiced**2)))
    levelled: PcmSamples = np.clip(scaled, -32767, 32767).astype(np.int16)
    return levelled


def agent_speech() -> PcmSamples:
    """Some 25 s of what we send, -20 dBov."""
    return recorded(40, 9, -20.0)


def caller_speech(length: int, level_dbov: float = -20.0) -> PcmSamples:
    speech = recorded(90, 9, level_dbov, 1.2)
    late: PcmSamples = np.concatenate((np.zeros(2 * RATE_HZ, np.int16), speech))
    resized: PcmSamples = np.resize(late, length)
    return resized


@dataclass
class Passed:
    """What came out of the gate."""

    frames: list[PcmFrame] = field(default_factory=list)
    delays_ms: list[float] = field(default_factory=list)
    """Of each frame: how much later than its own end it was let go."""
    flagged: list[int] = field(default_factory=list)
    """Positions of the frames that the voice detector flagged before the gate."""
    suspected: list[float] = field(default_factory=list)
    """After these frames, seconds, the gate suspected a caller in what it held back."""

    @property
    def interruptions(self) -> int:
        gate = VadGate(BARGE_IN_MS, 60)
        started = 0
        for frame in self.frames:
            gate.receive_frame(frame)
            started += sum(isinstance(event, SpeechStarted) for event in gate.events())
        return started

    @property
    def speech(self) -> set[int]:
        """Positions of frames that still count as speech."""
        return {frame.position_samples for frame in self.frames if FrameFlags.SPEECH in frame.flags}


def through(
    gate: EchoGate | None, sent: PcmSamples, heard: PcmSamples, rate_hz: int = RATE_HZ, offset: int = 0
) -> Passed:
    """Run a call: every 20 ms a frame out and a frame in. `offset`: of the uplink's positions."""
    passed, detector, size = Passed(), WebRtcVad(), rate_hz // 50
    for at in range(0, min(len(sent), len(heard)) - size + 1, size):
        now = (at + size) / rate_hz
        ours = PcmFrame(sent[at : at + size].astype("<i2").tobytes(), rate_hz, at, now)
        theirs = PcmFrame(heard[at : at + size].astype("<i2").tobytes(), rate_hz, at + offset, now)
        theirs = mark_speech(theirs, detector)
        if FrameFlags.SPEECH in theirs.flags:
            passed.flagged.append(theirs.position_samples)
        if gate is None:
            passed.frames.append(theirs)
            continue
        gate.receive_sent([ours])
        for frame in gate.process(theirs):
            passed.frames.append(frame)
            passed.delays_ms.append((now - frame.arrived_at) * 1000)
        if gate.suspects_caller:
            passed.suspected.append(now)
    return passed


LINES: list[tuple[float, float, Kind]] = [
    (40, -20, "flat"),
    (120, -20, "hybrid"),
    (200, -20, "muffled"),
    (300, -20, "hybrid"),
    (480, -20, "flat"),
    (120, -6, "hybrid"),
    (300, -6, "muffled"),
    (40, -30, "flat"),
    (200, -30, "hybrid"),
    (40, -20, "room"),
    (480, -12, "room"),
]


@pytest.mark.parametrize(("delay_ms", "gain_db", "kind"), LINES)
def test_our_voice_that_comes_back_does_not_count_as_speech(delay_ms: float, gain_db: float, kind: Kind) -> None:
    sent = agent_speech()
    heard = EchoLine(delay_ms, gain_db, kind).heard(sent)
    gate = EchoGate()
    assert through(gate, sent, heard).interruptions == 0
    report = gate.report
    assert report.delay_ms is not None
    assert report.delay_ms == pytest.approx(delay_ms, abs=10)  # a filter delays too
    assert report.loss_db is not None
    if kind == "flat":
        assert report.loss_db == pytest.approx(-gain_db, abs=6)


def test_without_the_gate_it_would() -> None:
    sent = agent_speech()
    for delay_ms, gain_db, kind in LINES[:5]:
        assert through(None, sent, EchoLine(delay_ms, gain_db, kind).heard(sent)).interruptions > 5


def test_what_is_gated_is_digital_silence() -> None:
    sent = agent_speech()
    heard = EchoLine(120, -20, "hybrid").heard(sent)
    passed = through(EchoGate(), sent, heard)
    loud = [frame for frame in passed.frames if np.abs(frame.samples).max() > 300]
    # Nothing of our words reaches speech recognition: what still sounds are scraps at the edges of a sentence.
    assert len(loud) < 0.03 * len(through(None, sent, heard).flagged)


@pytest.mark.parametrize("level_dbov", [-20.0, -30.0])
def test_a_caller_who_talks_over_us_on_a_line_without_echo_is_not_gated(level_dbov: float) -> None:
    gated = spoken = 0
    for first in (0, 150, 200):
        sent = recorded(first, 12, -20.0, 0.3)
        heard = EchoLine(100, -90).heard(sent, caller_speech(len(sent), level_dbov))
        gate = EchoGate()
        passed = through(gate, sent, heard)
        spoken += len(passed.flagged)
        gated += len(set(passed.flagged) - passed.speech)
    assert spoken > 3000
    assert gated / spoken < 0.005


@pytest.mark.parametrize(("gain_db", "share"), [(-30.0, 0.9), (-20.0, 0.85), (-12.0, 0.7)])
def test_a_caller_who_breaks_in_during_the_echo_is_heard(gain_db: float, share: float) -> None:
    sent = agent_speech()
    caller = caller_speech(len(sent))
    alone = set(through(None, sent, EchoLine(120, -90, "hybrid").heard(sent, caller)).flagged)
    passed = through(EchoGate(), sent, EchoLine(120, gain_db, "hybrid").heard(sent, caller))
    assert len(passed.speech & alone) > share * len(alone)


def test_double_talk_is_recognised_within_the_time_that_barge_in_needs() -> None:
    sent = agent_speech()
    caller = caller_speech(len(sent))
    passed = through(EchoGate(), sent, EchoLine(120, -20, "hybrid").heard(sent, caller))
    speech = [delay for frame, delay in zip(passed.frames, passed.delays_ms, strict=True) if frame.flags]
    assert np.percentile(speech, 95) <= BARGE_IN_MS
    assert max(speech) <= 260


@pytest.mark.parametrize("into_s", [0.3, 0.7, 1.1, 4.0])
def test_a_caller_who_breaks_in_is_suspected_at_once_even_while_nobody_knows_the_line(into_s: float) -> None:
    sent = agent_speech()
    onset = int(np.flatnonzero(np.abs(sent) > 300)[0]) + round(into_s * RATE_HZ)
    words = recorded(90, 1, -20.0)
    words = words[int(np.flatnonzero(np.abs(words) > 300)[0]) :]
    heard = np.zeros(onset + len(words), np.int16)
    heard[onset:] = words
    passed = through(EchoGate(), sent, heard)
    assert passed.suspected[0] - onset / RATE_HZ <= BARGE_IN_MS / 1e3


@pytest.mark.parametrize(("delay_ms", "gain_db", "kind"), LINES)
def test_our_voice_that_comes_back_hardly_ever_makes_us_quieter(delay_ms: float, gain_db: float, kind: Kind) -> None:
    sent = agent_speech()
    passed = through(EchoGate(), sent, EchoLine(delay_ms, gain_db, kind).heard(sent))
    assert len(passed.suspected) * 20 <= 300


@pytest.mark.parametrize("delays_ms", [(100, 220), (300, 60)])
def test_a_delay_that_changes_in_the_middle_of_a_call_is_found_again(delays_ms: tuple[int, int]) -> None:
    sent = agent_speech()
    half = len(sent) // 2 // FRAME * FRAME
    first, second = (EchoLine(delay_ms, -20, "hybrid").heard(sent) for delay_ms in delays_ms)
    heard = np.concatenate((first[:half], second[half:]))
    gate = EchoGate()
    assert through(gate, sent, heard).interruptions == 0
    assert gate.report.delay_ms == pytest.approx(delays_ms[1], abs=10)


def test_the_echo_of_an_utterance_that_is_over_does_not_begin_a_turn() -> None:
    sent = agent_speech().copy()
    rest = len(sent) * 2 // 3
    sent[rest:] = 0  # cut off, as by an interruption
    passed = through(EchoGate(), sent, EchoLine(480, -12, "hybrid").heard(sent))
    assert passed.interruptions == 0


def test_a_louder_echo_than_before_is_learnt_before_it_interrupts() -> None:
    sent = agent_speech()
    half = len(sent) // 2
    heard = np.concatenate(
        (EchoLine(120, -32, "hybrid").heard(sent)[:half], EchoLine(120, -10, "hybrid").heard(sent)[half:])
    )
    assert through(EchoGate(), sent, heard).interruptions == 0


def test_once_the_echo_is_gone_a_soft_caller_is_heard() -> None:
    sent = np.tile(agent_speech(), 2)
    caller = caller_speech(len(sent), -28.0)
    caller[: len(sent) * 2 // 3] = 0
    with_echo, without = EchoLine(120, -8, "hybrid").heard(sent), EchoLine(120, -90).heard(sent, caller)
    heard = np.concatenate((with_echo[: len(sent) // 3], without[len(sent) // 3 :]))
    passed = through(EchoGate(), sent, heard)
    speech = {at for at in passed.flagged if at >= len(sent) * 2 // 3}
    assert len(speech & passed.speech) > 0.85 * len(speech)


def test_noise_on_the_line_hides_no_echo_from_the_gate() -> None:
    sent = agent_speech()
    assert through(EchoGate(), sent, EchoLine(200, -14, "hybrid", noise_dbov=-48).heard(sent)).interruptions == 0


def test_music_that_comes_back_is_gated_too() -> None:
    chords = [sum(sine(hertz * 2 ** (step / 12), 0.6, RATE_HZ, -26).astype(np.int32) for hertz in (262, 330, 392))
              for step in (0, 5, 7, 3, 8, 0, 10, 5, 2, 7)]  # fmt: skip
    sent = np.concatenate(chords * 2).astype(np.int16)
    assert through(EchoGate(), sent, EchoLine(160, -12, "hybrid").heard(sent)).interruptions == 0


@pytest.mark.parametrize("rate_hz", [16000, 24000, 48000])
def test_wideband_legs_are_gated_as_well(rate_hz: int) -> None:
    sent = agent_speech()[: 12 * RATE_HZ]
    heard = EchoLine(120, -20, "hybrid").heard(sent)
    gate = EchoGate()
    passed = through(gate, resample(sent, RATE_HZ, rate_hz), resample(heard, RATE_HZ, rate_hz), rate_hz)
    assert passed.interruptions == 0
    assert gate.report.delay_ms == pytest.approx(120, abs=10)


@pytest.mark.parametrize("offset", [-40_000, 1_000_000])
def test_the_two_directions_need_no_common_origin(offset: int) -> None:
    sent = agent_speech()[: 12 * RATE_HZ]
    heard = EchoLine(120, -20, "hybrid").heard(sent)
    gate = EchoGate()
    assert through(gate, sent, heard, offset=offset).interruptions == 0
    assert gate.report.delay_ms == pytest.approx(120, abs=10)


def test_every_frame_comes_out_once_and_in_order() -> None:
    sent = agent_speech()
    heard = EchoLine(120, -20, "hybrid").heard(sent, caller_speech(len(sent)))
    gate = EchoGate()
    passed = through(gate, sent, heard)
    idle = PcmFrame(bytes(2 * FRAME), RATE_HZ, 100 * len(sent), 100 * len(sent) / RATE_HZ)
    passed.frames += gate.process(idle)  # nothing was sent lately: what is held is let go
    positions = [frame.position_samples for frame in passed.frames]
    assert positions == [*range(0, len(sent) - FRAME + 1, FRAME), idle.position_samples]


def test_while_we_are_silent_frames_pass_untouched() -> None:
    gate = EchoGate()
    frame = PcmFrame(noise(0.02, RATE_HZ, -20).tobytes(), RATE_HZ, 0, 0.02, FrameFlags.SPEECH)
    gate.receive_sent([PcmFrame(bytes(2 * FRAME), RATE_HZ, 0, 0.02)])
    (passed,) = gate.process(frame)
    assert passed is frame


def test_a_leg_that_changes_its_rate_keeps_all_its_frames() -> None:
    gate = EchoGate()
    sent = at_level(np.random.default_rng(3).standard_normal(RATE_HZ), -20)
    held: list[PcmFrame] = []
    for at in range(0, 5 * FRAME, FRAME):
        gate.receive_sent([PcmFrame(sent[at : at + FRAME].tobytes(), RATE_HZ, at, (at + FRAME) / RATE_HZ)])
        frame = PcmFrame(noise(0.02, RATE_HZ, -20).tobytes(), RATE_HZ, at, (at + FRAME) / RATE_HZ, FrameFlags.SPEECH)
        held += gate.process(frame)
    wide = PcmFrame(noise(0.02, 16000, -20).tobytes(), 16000, 10 * FRAME, 0.12)
    held += gate.process(wide)
    assert [frame.position_samples for frame in held] == [*range(0, 5 * FRAME, FRAME), 10 * FRAME]
