# SPDX-License-Identifier: GPL-3.0-or-later
"""When the caller speaks, to the window: the cheap voice flag as gate, a speech model as judge, hysteresis.

    frame with its SPEECH flag (media.vad) > gate open? > SpeechModel (60 us per 32 ms) > SpeechDetector's states

                 p >= start_probability             min_speech_ms of it
        QUIET ──────────────────────────> SUSPECTED ───────────────────> SPEAKING
          ^   SpeechSuspected                 │       SpeechStarted          │
          ├────────── min_silence_ms ─────────┘                              │
          │           SpeechDismissed                                        │
          └────────────────────────── min_silence_ms, SpeechEnded ───────────┘

While nobody speaks the model does not run: a silent caller costs the flag only. Events count time from the sound, not
from its discovery: speech ends at its last sample, however late that is noticed. The model itself lets go of a word
some 100 ms late (median of 20 synthetic sentences); on a quiet line loudness tells the end better, and the earlier of
both counts. The only clock is in the frames; `handle_timeout` is for a line that stopped sending altogether.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from agent.config import SpeechConfig
from media.frames import PcmFrame, PcmSamples
from media.level import mean_power
from media.line_clock import LineClock

WINDOW_MS = 32
"""What a speech model judges at a time; Silero's window."""
_LEAD_IN_FRAMES = 5
"""Frames from before the gate opened that the model hears first: it needs context to judge a beginning."""
_SOFT = 10 ** (-35 / 10)
"""So far below the loudest frame, as a ratio of powers, a word has faded out."""
_LINE_DEAD_S = 0.3
"""No frame for so long is silence: the far side stopped sending, as silence suppression does."""


class SpeechModel(Protocol):
    """Judges a stream of sound in windows of `WINDOW_MS`, each in the light of those before."""

    def process(self, samples: PcmSamples) -> list[float]:
        """Take more audio, any length; return the probability of speech for every window that is now complete."""
        ...


MakeSpeechModel = Callable[[int], SpeechModel]
"""A fresh model for one stream at that sample rate, Hz. Cheap: it is called whenever a sound begins."""


@dataclass(frozen=True, slots=True)
class SpeechSuspected:
    """A sound that may become speech."""

    started_at: float


@dataclass(frozen=True, slots=True)
class SpeechDismissed:
    """It did not."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """It is speech."""

    started_at: float
    """When its first sample was spoken into the line, monotonic seconds; so for all `_at` here but `arrived_at`."""
    position_samples: int
    """The same on the leg's timeline."""


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The caller fell silent."""

    ended_at: float
    """When the last speech sample was spoken into the line."""
    arrived_at: float
    """When the frame with that sample was here."""
    position_samples: int
    """The sample after the last one of the speech, on the leg's timeline."""


SpeechEvent = SpeechSuspected | SpeechDismissed | SpeechStarted | SpeechEnded


class _State(Enum):
    QUIET = "quiet"
    SUSPECTED = "suspected"
    SPEAKING = "speaking"


class SpeechDetector:
    """One caller's speech."""

    def __init__(self, make_model: MakeSpeechModel, sample_rate_hz: int, config: SpeechConfig) -> None:
        self._config = config
        self._state = _State.QUIET
        self._line = LineClock()
        self._arrived_at = 0.0
        self._windows = _Windows(make_model, sample_rate_hz)
        self._gate_until = 0
        self._sound = _Sound()
        self._events: list[SpeechEvent] = []

    @property
    def is_idle(self) -> bool:
        """Nobody speaks, nothing is to be told, no timer runs: as long as that lasts, frames change nothing."""
        return self._state is _State.QUIET and not self._events

    @property
    def is_speaking(self) -> bool:
        return self._state is _State.SPEAKING

    def events(self) -> list[SpeechEvent]:
        """What the frames since the last call said. Drain after each batch."""
        events, self._events = self._events, []
        return events

    def receive_rate(self, sample_rate_hz: int) -> None:
        """The leg has another codec: its timeline begins anew, and what was being said ends here."""
        self._break()
        self._line = LineClock()
        self._windows = _Windows(self._windows.make_model, sample_rate_hz)
        self._gate_until = 0

    def receive_frame(self, frame: PcmFrame) -> None:
        """Take the next frame of the leg, at the rate this detector was told, flagged by `media.vad.mark_speech`."""
        start, end = frame.position_samples, frame.position_samples + frame.sample_count
        rate_hz = frame.sample_rate_hz
        if start < self._windows.expected:
            self._break()
            self._gate_until = 0
        self._line.receive(end / rate_hz, frame.arrived_at)
        self._arrived_at = frame.arrived_at
        if frame.has_speech:
            self._gate_until = end + self._config.gate_ms * rate_hz // 1000
        if self._state is _State.QUIET and end > self._gate_until:
            self._windows.keep(frame)
            return
        self._sound.hear(mean_power(frame.samples), end, frame.arrived_at)
        for window_start, window_end, probability in self._windows.judge(frame):
            self._judge(window_start, window_end, probability)

    def next_timeout(self) -> float | None:
        """When `handle_timeout` wants to be called next, monotonic seconds."""
        return None if self._state is _State.QUIET else self._arrived_at + _LINE_DEAD_S

    def handle_timeout(self, now: float) -> None:
        due = self.next_timeout()
        if due is not None and now >= due:
            self._break()

    def _judge(self, window_start: int, window_end: int, probability: float) -> None:
        config, rate_hz = self._config, self._windows.sample_rate_hz
        if self._state is _State.QUIET:
            if probability < config.start_probability:
                return
            self._sound.begin(window_start, window_end, self._arrived_at)
            self._state = _State.SUSPECTED
            self._events.append(SpeechSuspected(self._spoken_at(window_start)))
        elif probability >= config.end_probability:
            self._sound.until, self._sound.arrived_at = window_end, self._arrived_at
        elif (window_end - self._sound.until) * 1000 >= config.min_silence_ms * rate_hz:
            self._break()
            return
        sounding = self._sound.until - self._sound.since
        if self._state is _State.SUSPECTED and sounding * 1000 >= config.min_speech_ms * rate_hz:
            self._state = _State.SPEAKING
            self._events.append(SpeechStarted(self._spoken_at(self._sound.since), self._sound.since))

    def _break(self) -> None:
        """End the present sound where it was last heard."""
        if self._state is _State.SUSPECTED:
            self._events.append(SpeechDismissed())
        elif self._state is _State.SPEAKING:
            until, arrived_at = self._sound.end()
            self._events.append(SpeechEnded(self._spoken_at(until), arrived_at, until))
        self._state = _State.QUIET
        self._sound = _Sound()

    def _spoken_at(self, position_samples: int) -> float:
        return self._line.spoken_at(position_samples / self._windows.sample_rate_hz)


@dataclass(slots=True)
class _Sound:
    """The present sound, on the leg's timeline."""

    since: int = 0
    until: int = 0
    """The sample after the last one that was likely to be speech."""
    arrived_at: float = 0.0
    """When that one was here; so for `loud_arrived_at`."""
    peak_power: float = 0.0
    loud_until: int = 0
    """The sample after the last frame that was not much softer than the loudest."""
    loud_arrived_at: float = 0.0

    def hear(self, power: float, end: int, arrived_at: float) -> None:
        """A frame, its mean square, and where it ends."""
        self.peak_power = max(self.peak_power, power)
        if power >= self.peak_power * _SOFT:
            self.loud_until, self.loud_arrived_at = end, arrived_at

    def begin(self, since: int, until: int, arrived_at: float) -> None:
        self.since, self.until, self.arrived_at = since, until, arrived_at

    def end(self) -> tuple[int, float]:
        """The sample after the last one of speech, and when that was here."""
        if self.since < self.loud_until < self.until:
            return self.loud_until, self.loud_arrived_at
        return self.until, self.arrived_at


class _Windows:
    """The model's windows, and where on the leg's timeline they lie. After a gap the model starts afresh."""

    def __init__(self, make_model: MakeSpeechModel, sample_rate_hz: int) -> None:
        self.make_model = make_model
        self.sample_rate_hz = sample_rate_hz
        self.expected = 0
        """The position of the next frame when there is no gap."""
        self._lead_in: deque[PcmFrame] = deque(maxlen=_LEAD_IN_FRAMES)
        """What the gate held back; drops oldest."""
        self._model: SpeechModel | None = None
        """None while the gate is shut."""
        self._start = 0
        """Where the next window begins."""

    def keep(self, frame: PcmFrame) -> None:
        """The gate is shut: hold the frame back."""
        if frame.position_samples != self.expected:
            self._lead_in.clear()
        self.expected = frame.position_samples + frame.sample_count
        self._lead_in.append(frame)
        self._model = None

    def judge(self, frame: PcmFrame) -> list[tuple[int, int, float]]:
        """Start, end and probability of every window that the frame completes."""
        frames = [frame]
        if frame.position_samples != self.expected:
            self._model = None
        elif self._model is None:
            frames = [*self._lead_in, frame]
        self._lead_in.clear()
        self.expected = frame.position_samples + frame.sample_count
        if self._model is None:
            self._model, self._start = self.make_model(self.sample_rate_hz), frames[0].position_samples
        windows: list[tuple[int, int, float]] = []
        for each in frames:
            for probability in self._model.process(each.samples):
                end = self._start + self.sample_rate_hz * WINDOW_MS // 1000
                windows.append((self._start, end, probability))
                self._start = end
        return windows
