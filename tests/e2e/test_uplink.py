# SPDX-License-Identifier: GPL-3.0-or-later
"""A caller behind a bad network, echoed and recorded: what it said comes back whole, and the recording is aligned."""

import random
import time
import wave

import numpy as np
from numpy.typing import NDArray

from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.raw_caller import RawCaller
from tests.mulaw import mu_law

_RATE_HZ = 8000
_WINDOW = 3200
_FARTHEST = 4000
"""Samples: the echo is looked for so far behind what was said."""


def _speak_through_a_bad_network(caller: RawCaller, seconds: float) -> None:
    """Noise in G.711 packets, with 25 ms of jitter, so that some overtake others, and a few that come twice."""
    chance = random.Random(7)
    noise = np.random.default_rng(7).integers(-8000, 8000, round(seconds * _RATE_HZ), dtype=np.int16)
    departures: list[tuple[float, bytes]] = []
    for number, begin in enumerate(range(0, len(noise), 160)):
        packet = caller.clock.packet(mu_law(noise[begin : begin + 160]))
        for _ in range(1 + (chance.random() < 0.02)):
            departures.append((number * 0.02 + chance.uniform(0, 0.025), packet))
    start = time.monotonic()
    assert caller.remote_rtp is not None
    for after, packet in sorted(departures):
        time.sleep(max(0.0, start + after - time.monotonic()))
        caller.rtp.sendto(packet, caller.remote_rtp)


def _lag(said: NDArray[np.float64], echoed: NDArray[np.float64]) -> tuple[int, float]:
    """How many samples behind `said` it is found in `echoed`, and how much it resembles it there (0 to 1)."""
    scores = np.correlate(echoed, said, "valid")
    energy = np.convolve(echoed**2, np.ones(len(said)), "valid") * np.sum(said**2)
    likeness = scores / np.sqrt(np.maximum(energy, 1.0))
    best = int(np.argmax(likeness))
    return best, float(likeness[best])


def test_what_is_said_through_jitter_is_echoed_whole_and_recorded_where_it_belongs(gateway: GatewayProcess) -> None:
    with RawCaller(gateway.sip_port) as caller:
        assert caller.invite("echo").code == 200
        time.sleep(0.5)  # our audio begins before the caller's
        _speak_through_a_bad_network(caller, 6.0)
        time.sleep(0.3)
        assert caller.bye("echo").code == 200
    session = gateway.newest_session()
    with wave.open(str(gateway.data_dir / "recordings" / f"{session['call_id']}.wav")) as file:
        assert file.getframerate() == _RATE_HZ
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
    said, echoed = samples[:, 0].astype(float), samples[:, 1].astype(float)
    begin = int(np.argmax(np.abs(said) > 500))
    assert 0.2 < begin / _RATE_HZ < 2.0
    found = [
        _lag(said[at : at + _WINDOW], echoed[at : at + _WINDOW + _FARTHEST])
        for at in range(begin, begin + 5 * _RATE_HZ, _WINDOW)
    ]
    whole = [lag for lag, likeness in found if likeness > 0.9]
    assert len(whole) >= 0.7 * len(found), found
    assert max(whole) - min(whole) <= _RATE_HZ // 5
    assert min(whole) > 0
