# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain a caller's audio passes on its way to an agent.

    frame > voice flag > echo gate > (noise suppression) > automatic gain > agent

The flag comes first because the stages after it work on speech only. The echo gate comes before the gain, because our
own voice must not be taken for the caller's level, nor be lifted to it, and because the gate compares levels with what
was sent. Noise goes before the gain could lift it. The recorder taps the leg before the chain, so that a recording is
what came over the wire.
"""

from dataclasses import dataclass, replace

from media.echo import EchoGate, EchoReport
from media.frames import PcmFrame, PcmSamples
from media.gain import AutomaticGain
from media.noise import NoiseSuppressor, Strength
from media.speech_level import SpeechLevelMeter, SpeechLevels
from media.vad import WebRtcVad, mark_speech


@dataclass(frozen=True, slots=True)
class LineReport:
    """What the chain learnt of a call's audio."""

    caller: SpeechLevels
    """As it came over the wire, without the echo of our voice."""
    agent: SpeechLevels
    """As it was sent."""
    echo: EchoReport | None
    """None: there was no gate to find it."""


class Uplink:
    """One caller's chain. A silent caller's frame costs some ten microseconds, five times that while we are heard."""

    def __init__(self, sample_rate_hz: int, *, echo_gate: bool = True, suppress_noise: Strength | None = None) -> None:
        self._detector = WebRtcVad(mode=3)
        self._echo_gate = EchoGate() if echo_gate else None
        self._strength = suppress_noise
        self._suppressor: NoiseSuppressor | None = None
        self._caller = SpeechLevelMeter()
        self._agent = SpeechLevelMeter()
        self._gain = AutomaticGain(sample_rate_hz)

    @property
    def suspects_caller(self) -> bool:
        """Somebody seems to speak over us, in frames that are held back until that is clear."""
        return self._echo_gate is not None and self._echo_gate.suspects_caller

    @property
    def report(self) -> LineReport:
        """Levels and echo so far."""
        echo = None if self._echo_gate is None else self._echo_gate.report
        return LineReport(self._caller.levels, self._agent.levels, echo)

    @property
    def caller_energy(self) -> float:
        """Of the caller's voice so far, before the gain: see `SpeechLevelMeter.energy`."""
        return self._caller.energy

    def receive_sent(self, frames: list[PcmFrame]) -> None:
        """What was really sent to the caller."""
        audible = [frame for frame in frames if frame.pcm != bytes(len(frame.pcm))]
        if not audible:
            return
        self._agent.receive(audible)
        if self._echo_gate is not None:
            self._echo_gate.receive_sent(audible)

    def process(self, frames: list[PcmFrame]) -> list[PcmFrame]:
        """The frames, flagged, free of our own voice and levelled; some may be held back for the next call."""
        passed = []
        for frame in frames:
            flagged = mark_speech(frame, self._detector)
            if self._echo_gate is None:
                passed.append(flagged)
            else:
                passed += self._echo_gate.process(flagged)
        self._caller.receive(passed)
        return [self._level(frame) for frame in passed]

    def _level(self, frame: PcmFrame) -> PcmFrame:
        if self._strength is None and self._gain.gain_db == 0.0 and not frame.has_speech:
            return frame
        self._gain.sample_rate_hz = frame.sample_rate_hz
        before = frame.samples
        cleaned = (
            before if self._strength is None else self._without_noise(before, frame.sample_rate_hz, self._strength)
        )
        after = self._gain.process(cleaned, frame.has_speech)
        return frame if after is before else replace(frame, pcm=after.tobytes())

    def _without_noise(self, samples: PcmSamples, sample_rate_hz: int, strength: Strength) -> PcmSamples:
        if self._suppressor is None or self._suppressor.sample_rate_hz != sample_rate_hz:
            self._suppressor = NoiseSuppressor(sample_rate_hz, strength)
        return self._suppressor.process(samples)
