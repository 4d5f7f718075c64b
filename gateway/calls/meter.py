# SPDX-License-Identifier: GPL-3.0-or-later
"""How loud both sides of a call are, for who looks on: measured only then, and once for all who do."""

from collections import deque
from collections.abc import Callable

from gateway.calls.call import Call
from media.frames import PcmFrame
from media.level import SILENCE_DBOV, mean_power, power_dbov

STEP_MS = 40
_STEPS_PER_REPORT = 5
Report = Callable[[int, list[float], list[float]], None]
"""Told the time since the answer in ms, then the caller's and our levels since the last report, in dBov, oldest first:
one for every `STEP_MS`."""


class _Side:
    """Levels of one direction."""

    def __init__(self) -> None:
        self._power = 0.0
        self._samples = 0
        self.levels: deque[float] = deque(maxlen=4 * _STEPS_PER_REPORT)

    def receive(self, frames: list[PcmFrame]) -> None:
        for frame in frames:
            samples = frame.samples
            self._power += mean_power(samples) * len(samples)
            self._samples += len(samples)
            if self._samples * 1000 >= STEP_MS * frame.sample_rate_hz:
                self.levels.append(round(power_dbov(self._power / self._samples), 1))
                self._power, self._samples = 0.0, 0

    def take(self) -> list[float]:
        taken = list(self.levels)
        self.levels.clear()
        return taken


class CallMeter:
    """Of one call. What is sent beats the time: it flows as long as the call has audio."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._caller, self._ours = _Side(), _Side()
        self._reports: tuple[Report, ...] = ()

    def watch(self, report: Report) -> None:
        """From now on tell `report`, which must not block. Raises `WrongCallState` before the call has audio."""
        if not self._reports:
            leg = self._call.leg
            leg.tap_sent(self._receive_sent)
            self._call.audience.add(self._caller.receive)
        self._reports += (report,)

    def unwatch(self, report: Report) -> None:
        """End that."""
        self._reports = tuple(one for one in self._reports if one != report)
        if not self._reports and self._call.audio is not None:
            self._call.audio.untap_sent(self._receive_sent)
            self._call.audience.remove(self._caller.receive)

    @property
    def is_watched(self) -> bool:
        return bool(self._reports)

    def _receive_sent(self, frames: list[PcmFrame]) -> None:
        self._ours.receive(frames)
        if len(self._ours.levels) < _STEPS_PER_REPORT:
            return
        ours, caller = self._ours.take(), self._caller.take()
        at_ms = self._call.elapsed_ms(frames[-1].arrived_at)
        for report in self._reports:
            report(at_ms, caller or [SILENCE_DBOV] * len(ours), ours)


class Meters:
    """Of all calls that somebody looks at."""

    def __init__(self, find: Callable[[str], Call]) -> None:
        """`find` raises `NoSuchCall`."""
        self._find = find
        self._meters: dict[str, CallMeter] = {}

    def watch(self, call_id: str, report: Report) -> Call:
        """Raises `NoSuchCall`, `WrongCallState`."""
        call = self._find(call_id)
        meter = self._meters.get(call_id) or CallMeter(call)
        meter.watch(report)
        self._meters[call_id] = meter
        return call

    def unwatch(self, call_id: str, report: Report) -> None:
        """End that; the call may be over."""
        meter = self._meters.get(call_id)
        if meter is not None:
            meter.unwatch(report)
            if not meter.is_watched:
                del self._meters[call_id]
