# SPDX-License-Identifier: GPL-3.0-or-later
"""What a dialled call says of itself without words: ringing, busy, information tones, fax machines, the beep.

    samples > SteadyTones > Sit, Fax, Beep ─┐
            > Cadences ────────────────────┴> ProgressEvent

Pure, no clock: events carry the stream's own time. For one leg; feed it the far end's audio in order.
"""

from dataclasses import dataclass
from enum import Enum

from media.cadence import BusyHeard, Cadences, CongestionHeard, RingbackHeard
from media.errors import MediaMisuse
from media.frames import SAMPLE_RATES_HZ, PcmSamples
from media.steady_tone import SteadyTones, Step, Tone


class SitKind(Enum):
    """What special information tones announce. North America tells it by the lengths of the first two tones; elsewhere
    all three are alike (ITU-T E.180) and say only that a recording with the reason follows.
    """

    INTERCEPT = "intercept"
    """The number was changed or is out of service."""
    VACANT = "vacant"
    """There is no such number."""
    REORDER = "reorder"
    """Dialled wrong, or equipment is busy."""
    NO_CIRCUIT = "no_circuit"
    """All trunks are busy."""
    UNSPECIFIED = "unspecified"


@dataclass(frozen=True, slots=True)
class SitHeard:
    """Three rising tones: the call failed, and a recording will say why."""

    kind: SitKind
    at_ms: int


@dataclass(frozen=True, slots=True)
class FaxCalling:
    """A fax machine calls (CNG, ITU-T T.30 section 4.1.1): told at the second of its tones."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class FaxAnswered:
    """A fax machine or modem answers (CED, ITU-T T.30 section 4.1.2): told after a second of it."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class BeepHeard:
    """A single tone, and then silence: an answering machine records from here on."""

    frequency_hz: float
    duration_ms: int
    at_ms: int


ProgressEvent = SitHeard | FaxCalling | FaxAnswered | BeepHeard | RingbackHeard | BusyHeard | CongestionHeard


class CallProgress:
    """All detectors of one leg."""

    def __init__(self, sample_rate_hz: int) -> None:
        if sample_rate_hz not in SAMPLE_RATES_HZ:
            raise MediaMisuse(f"sample rate {sample_rate_hz} Hz is none of {SAMPLE_RATES_HZ}")
        self._tones = SteadyTones(sample_rate_hz)
        self._cadences = Cadences(sample_rate_hz)
        self._sit = _Sit()
        self._fax = _Fax()
        self._beep = _Beep()

    def receive(self, samples: PcmSamples) -> list[ProgressEvent]:
        """The next piece of the far end's audio, any length."""
        events: list[ProgressEvent] = []
        for step in self._tones.receive(samples):
            for detector in (self._sit, self._fax, self._beep):
                found = detector.receive(step)
                if found is not None:
                    events.append(found)
        events += self._cadences.receive(samples)
        return sorted(events, key=lambda event: event.at_ms)


_SIT_KINDS = {
    ("short", "short"): SitKind.INTERCEPT,
    ("long", "short"): SitKind.VACANT,
    ("short", "long"): SitKind.REORDER,
    ("long", "long"): SitKind.NO_CIRCUIT,
}


class _Sit:
    """Three tones, each higher than the one before, with next to nothing between them."""

    _BANDS_HZ = ((890, 1010), (1340, 1460), (1740, 1860))
    _LENGTH_MS = (200, 440)
    _GAP_MS = 60
    _SHORT_MS, _LONG_MS = 300, 345
    """The short ones are 274 ms, the long ones 380, ITU's 330; a window with two tones in it counts for neither."""

    def __init__(self) -> None:
        self._heard: list[Tone] = []

    def receive(self, step: Step) -> SitHeard | None:
        tone = step.ended
        if tone is None or tone.duration_ms < 50:
            return None
        if self._heard and tone.began_ms - self._heard[-1].began_ms - self._heard[-1].duration_ms > self._GAP_MS:
            self._heard = []
        low_hz, high_hz = self._BANDS_HZ[len(self._heard)]
        shortest_ms, longest_ms = self._LENGTH_MS
        if not (low_hz <= tone.frequency_hz <= high_hz and shortest_ms <= tone.duration_ms <= longest_ms):
            self._heard = []
            return None
        self._heard.append(tone)
        if len(self._heard) < 3:
            return None
        first, second, _ = self._heard
        self._heard = []
        kind = _SIT_KINDS.get((self._length(first), self._length(second)), SitKind.UNSPECIFIED)
        return SitHeard(kind, step.at_ms)

    def _length(self, tone: Tone) -> str:
        return "short" if tone.duration_ms < self._SHORT_MS else "long" if tone.duration_ms > self._LONG_MS else ""


class _Fax:
    """CNG: 1100 Hz (38 Hz either way) for half a second, every three and a half. CED: 2100 Hz (15 Hz) for 2.6 s."""

    def __init__(self) -> None:
        self._cng_began_ms: int | None = None
        self._has_answered = False

    def receive(self, step: Step) -> FaxCalling | FaxAnswered | None:
        tone = step.going_on
        if tone is not None and abs(tone.frequency_hz - 2100) <= 20 and tone.duration_ms >= 1000:
            told, self._has_answered = self._has_answered, True
            return None if told else FaxAnswered(step.at_ms)
        if step.ended is not None and is_cng(step.ended):
            before_ms, self._cng_began_ms = self._cng_began_ms, step.ended.began_ms
            if before_ms is not None and 2800 <= step.ended.began_ms - before_ms <= 4200:
                return FaxCalling(step.at_ms)
        return None


def is_cng(tone: Tone) -> bool:
    """One burst of a calling fax machine (0.5 s, 15 % either way; and what windows add)."""
    return abs(tone.frequency_hz - 1100) <= 42 and 400 <= tone.duration_ms <= 600


class _Beep:
    """A steady tone of 0.1 to 2 s between 400 and 2,200 Hz, then 0.3 s of silence.

    Tones of a rhythm (425 Hz), those of fax machines, and a tone that follows another one (SIT) are none. Of two beeps
    each is told: which is the last one nobody knows.
    """

    _BAND_HZ = (400, 2200)
    _LENGTH_MS = (90, 2100)
    _HEARD_MS = 50
    """Less is the edge of another tone, or noise."""
    _SILENCE_MS = 300
    _DROP_DB = 15.0
    _ALONE_MS = 60

    def __init__(self) -> None:
        self._waiting: Tone | None = None
        self._last_ended_ms = -1000

    def receive(self, step: Step) -> BeepHeard | None:
        if step.ended is not None and step.ended.duration_ms >= self._HEARD_MS:
            self._waiting = step.ended if self._is_beep(step.ended) else None
            self._last_ended_ms = step.ended.began_ms + step.ended.duration_ms
        tone = self._waiting
        if tone is None:
            return None
        after_ms = step.at_ms - tone.began_ms - tone.duration_ms
        if after_ms > 40 and step.level_dbov > tone.level_dbov - self._DROP_DB:
            self._waiting = None  # it goes on with something else: no end of an announcement
        elif after_ms >= self._SILENCE_MS:
            self._waiting = None
            return BeepHeard(tone.frequency_hz, tone.duration_ms, step.at_ms)
        return None

    def _is_beep(self, tone: Tone) -> bool:
        low_hz, high_hz = self._BAND_HZ
        shortest_ms, longest_ms = self._LENGTH_MS
        return (
            low_hz <= tone.frequency_hz <= high_hz
            and shortest_ms <= tone.duration_ms <= longest_ms
            and abs(tone.frequency_hz - 425) > 12
            and tone.began_ms - self._last_ended_ms > self._ALONE_MS
            and not is_cng(tone)
        )
