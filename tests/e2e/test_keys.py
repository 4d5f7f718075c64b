# SPDX-License-Identifier: GPL-3.0-or-later
"""Telephone keys over real SIP and RTP: every one is heard, once, in order. All thousand: scripts/bench/dtmf."""

from collections.abc import Awaitable, Callable

import pytest

from media.keys import KeyMethod, ToneDetection
from tests.e2e.key_peers import (
    Impairments,
    KeyEndpoint,
    call_with_events,
    call_with_infos,
    call_with_tones,
    dial,
    random_keys,
)

_ATTEMPTS = 5


async def _undisturbed(attempt: Callable[[], Awaitable[tuple[str, int]]]) -> str:
    """What was heard in a run whose audio arrived whole; a machine that stood still says nothing of the detector."""
    for _ in range(_ATTEMPTS):
        heard, disturbed = await attempt()
        if not disturbed:
            return heard
    pytest.skip(f"the machine stood still in each of {_ATTEMPTS} runs")


async def test_events_over_a_bad_line_are_all_heard_in_order() -> None:
    keys = random_keys(40, seed=1)
    async with KeyEndpoint() as endpoint:
        assert await call_with_events(endpoint, keys, 2, Impairments(loss=0.1, doubled=0.1, swapped=0.1)) == keys


async def test_keys_in_infos_are_all_heard_however_they_are_written() -> None:
    keys = random_keys(60, seed=3)
    async with KeyEndpoint() as endpoint:
        assert await call_with_infos(endpoint, keys, 4) == keys


async def test_a_key_that_comes_as_event_and_as_info_is_one_press() -> None:
    keys = "11223344551"
    async with KeyEndpoint() as endpoint:
        assert await call_with_infos(endpoint, keys, 5, also_events=True) == keys


async def test_tones_of_a_peer_without_telephone_event_are_heard() -> None:
    keys = random_keys(20, seed=6)
    async with KeyEndpoint() as endpoint:
        assert await _undisturbed(lambda: call_with_tones(endpoint, keys)) == keys


@pytest.mark.parametrize("codec", ["pcma", "g722", "opus"])
async def test_tones_of_ours_survive_the_codec(codec: str) -> None:
    keys = random_keys(16, seed=7)
    async with KeyEndpoint(codec, ToneDetection.ALWAYS) as endpoint:
        assert await _undisturbed(lambda: dial(endpoint, keys, KeyMethod.INBAND)) == keys


@pytest.mark.parametrize("codec", ["pcmu", "g722", "opus"])
async def test_events_of_ours_are_heard_once_though_tones_are_listened_for(codec: str) -> None:
    keys = random_keys(16, seed=8)
    async with KeyEndpoint(codec, ToneDetection.ALWAYS) as endpoint:
        heard, _ = await dial(endpoint, keys, KeyMethod.RFC4733)
        assert heard == keys


async def test_infos_of_ours_are_answered_and_heard() -> None:
    async with KeyEndpoint("pcmu") as endpoint:
        heard, _ = await dial(endpoint, "159#D*", KeyMethod.INFO)
        assert heard == "159#D*"
