# SPDX-License-Identifier: GPL-3.0-or-later
"""What a network does to packets. Same seed, same fate: each kind of harm draws from a sequence of its own, so that the
losses stay where they are when jitter is added, and packet n fares alike whatever was sent before it."""

import random
from dataclasses import dataclass, field
from typing import Literal

_DUPLICATE_AFTER_S = 0.001


@dataclass(frozen=True, slots=True)
class Network:
    """One direction. The default does no harm."""

    loss: float = 0.0
    """Share of packets lost, 0 to 1."""
    burst_packets: float = 1.0
    """Mean run of lost packets. 1: each by itself; more: Gilbert-Elliott, all of them in the bad state."""
    delay_ms: float = 0.0
    """Of every packet."""
    jitter_ms: float = 0.0
    """Half the width of a uniform distribution around `delay_ms`, or the standard deviation of a normal one. No packet
    leaves before it came: give a `delay_ms` at least as large."""
    jitter_shape: Literal["uniform", "normal"] = "uniform"
    in_order: bool = False
    """A queue: a packet that is held up holds up those behind it. Otherwise each has its own delay (as netem does)."""
    reorder: float = 0.0
    """Share of packets that step aside until the next one has passed, 0 to 1."""
    reorder_ms: float = 30.0
    """For so long; more than the packet time."""
    duplicate: float = 0.0
    """Share of packets delivered twice, 0 to 1."""
    skew_ppm: float = 0.0
    """The sender's clock is slow by so much: packets come later and later. When negative, they come earlier, as far as
    `delay_ms` has room."""
    blackouts: tuple[tuple[float, float], ...] = ()
    """(begin, duration) in seconds from the first packet: nothing passes."""


@dataclass(slots=True)
class Tally:
    """What became of the packets so far."""

    packets: int = 0
    lost: int = 0
    reordered: int = 0
    duplicated: int = 0


@dataclass(slots=True)
class Line:
    """One direction of one call."""

    network: Network
    seed: str
    tally: Tally = field(default_factory=Tally)
    _first_at: float | None = None
    _last_out: float = 0.0
    _bad: bool = False
    _losses: random.Random = field(init=False)
    _jitters: random.Random = field(init=False)
    _reorders: random.Random = field(init=False)
    _duplicates: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._losses, self._jitters, self._reorders, self._duplicates = (
            random.Random(f"{self.seed}/{kind}") for kind in ("loss", "jitter", "reorder", "duplicate")
        )

    def fate(self, now: float) -> tuple[float, ...]:
        """When (monotonic seconds) the packet that came at `now` is to be delivered: never, once or twice."""
        if self._first_at is None:
            self._first_at = now
        network, tally = self.network, self.tally
        tally.packets += 1
        lost, out = self._is_lost(now), now + self._delay_s(now)
        steps_aside = self._reorders.random() < network.reorder
        twice = self._duplicates.random() < network.duplicate
        if lost:
            tally.lost += 1
            return ()
        if steps_aside:
            tally.reordered += 1
            out = max(out, self._last_out) + network.reorder_ms / 1000
        elif network.in_order:
            out = self._last_out = max(out, self._last_out)
        if not twice:
            return (out,)
        tally.duplicated += 1
        return (out, out + _DUPLICATE_AFTER_S)

    def _is_lost(self, now: float) -> bool:
        network = self.network
        assert self._first_at is not None
        drawn = self._losses.random()
        if network.burst_packets > 1:
            leaves_bad = 1 / network.burst_packets
            enters_bad = network.loss * leaves_bad / (1 - network.loss)
            self._bad = drawn >= leaves_bad if self._bad else drawn < enters_bad
            lost = self._bad
        else:
            lost = drawn < network.loss
        elapsed = now - self._first_at
        return lost or any(begin <= elapsed < begin + lasts for begin, lasts in network.blackouts)

    def _delay_s(self, now: float) -> float:
        network = self.network
        assert self._first_at is not None
        drawn = self._jitters.random()
        delay_ms = network.delay_ms + (now - self._first_at) * network.skew_ppm / 1000
        if network.jitter_shape == "uniform":
            delay_ms += (2 * drawn - 1) * network.jitter_ms
        else:
            delay_ms += self._jitters.gauss(0, network.jitter_ms)
        return max(0.0, delay_ms) / 1000
