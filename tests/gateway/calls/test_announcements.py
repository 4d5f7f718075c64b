# SPDX-License-Identifier: GPL-3.0-or-later
"""Announcements on a leg that takes 20 ms at a time, in virtual time."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import cast

import numpy as np
import pytest

from agent.errors import ServiceUnavailable
from agent.services.tts import SpeechChunk
from gateway.calls.announcements import MAX_WAITING, Announcements
from gateway.calls.prompts import Prompt
from gateway.errors import WrongCallState
from media.playout import Cleared, PlayoutEvent
from media.ports import CallAudio
from tests.fakes.leg import FakeLeg
from tests.fakes.virtual_time import in_virtual_time

LEVEL = 3000


class AnnouncedLeg(FakeLeg):
    """Its one playout is that of announcements."""

    def __init__(self, sample_rate_hz: int = 8000) -> None:
        super().__init__(sample_rate_hz)
        self.utterance_ids = count(1)
        self.on_announcement: Callable[[PlayoutEvent], None] | None = None
        self.on_playout = lambda event: self.on_announcement(event) if self.on_announcement is not None else None

    @property
    def announcement_queued_ms(self) -> float:
        return self.queued_ms

    def announce(self, utterance_id: int, pcm: bytes, sample_rate_hz: int = 0) -> int:
        return self.play(utterance_id, pcm, sample_rate_hz)

    def end_announcement(self, utterance_id: int) -> None:
        self.end_utterance(utterance_id)

    def clear_announcement(self) -> Cleared:
        return self.clear()

    def sounding_ms(self, level: int = LEVEL) -> int:
        """For how long this level was sent."""
        return 20 * sum(packet.peak == level for packet in self.packets)

    @property
    def gaps(self) -> int:
        """Silent packets between the first that sounds and the last."""
        sounding = [index for index, packet in enumerate(self.packets) if packet.peak]
        return sounding[-1] - sounding[0] + 1 - len(sounding) if sounding else 0


class Line:
    """A leg, its announcements, and what became of them."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.leg = AnnouncedLeg()
        self.ends: list[tuple[str, str, int]] = []
        self.announcements = Announcements(
            cast(CallAudio, self.leg), lambda *end: self.ends.append(end), tasks.create_task
        )


@asynccontextmanager
async def line() -> AsyncIterator[Line]:
    async with asyncio.TaskGroup() as tasks:
        one = Line(tasks)
        clock = tasks.create_task(one.leg.run())
        yield one
        one.announcements.close()
        clock.cancel()


def prompt(ms: int, level: int = LEVEL) -> Prompt:
    return Prompt(np.full(ms * 8, level, np.int16), 8000)


def speech(*ms: int, fails: bool = False, waits_s: float = 0.0) -> Callable[[], AsyncGenerator[SpeechChunk, None]]:
    async def render() -> AsyncGenerator[SpeechChunk, None]:
        for length in ms:
            await asyncio.sleep(waits_s)
            yield SpeechChunk(np.full(length * 8, LEVEL, np.int16), 8000)
        if fails:
            raise ServiceUnavailable("tts", "gone")

    return render


@in_virtual_time
async def test_a_recording_is_sent_whole_and_its_end_told() -> None:
    async with line() as one:
        playback = one.announcements.play(prompt(5000), loop=1, gain=1.0)
        await asyncio.sleep(6)
        assert (playback.ahead, one.leg.sounding_ms(), one.leg.gaps) == (0, 5000, 0)
        assert one.ends == [(playback.playback_id, "completed", 5000)]


@in_virtual_time
async def test_a_loop_repeats_without_a_gap_and_the_gain_is_a_factor() -> None:
    async with line() as one:
        one.announcements.play(prompt(700), loop=3, gain=0.5)
        await asyncio.sleep(3)
        assert (one.leg.sounding_ms(LEVEL // 2), one.leg.gaps) == (2100, 0)


@in_virtual_time
async def test_little_is_written_ahead_so_that_an_endless_loop_fills_no_queue() -> None:
    async with line() as one:
        one.announcements.play(prompt(300), loop=0, gain=1.0)
        for _ in range(20):
            await asyncio.sleep(1)
            assert 0 < one.leg.queued_ms <= 2500
        stopped = one.announcements.stop()
        assert stopped.played_ms == one.leg.sounding_ms()
        assert 19_900 <= stopped.played_ms <= 20_000
        assert one.leg.queued_ms == 0


@in_virtual_time
async def test_announcements_follow_one_another_with_nothing_between() -> None:
    async with line() as one:
        first = one.announcements.play(prompt(3000), loop=1, gain=1.0)
        second = one.announcements.say(speech(400, 600))
        third = one.announcements.play(prompt(100), loop=1, gain=1.0)
        assert (first.ahead, second.ahead, third.ahead) == (0, 1, 2)
        await asyncio.sleep(2.6)
        assert one.leg.queued_ms >= 900  # 400 of the first, and the second behind it: it must not come too late
        await asyncio.sleep(2.4)
        assert (one.leg.sounding_ms(), one.leg.gaps) == (4100, 0)
        assert one.ends == [
            (first.playback_id, "completed", 3000),
            (second.playback_id, "completed", 1000),
            (third.playback_id, "completed", 100),
        ]


@in_virtual_time
async def test_one_that_comes_while_the_last_is_almost_over_joins_it() -> None:
    async with line() as one:
        one.announcements.play(prompt(1000), loop=1, gain=1.0)
        await asyncio.sleep(0.9)
        one.announcements.play(prompt(1000), loop=1, gain=1.0)
        await asyncio.sleep(2)
        assert (one.leg.sounding_ms(), one.leg.gaps) == (2000, 0)


@in_virtual_time
@pytest.mark.parametrize("after_s", [1.0, 2.8])
async def test_stopping_the_one_that_is_heard_lets_the_next_begin_from_its_start(after_s: float) -> None:
    """At 2.8 s the next one is with the leg already."""
    async with line() as one:
        first = one.announcements.play(prompt(3000), loop=1, gain=1.0)
        second = one.announcements.play(prompt(1000, 500), loop=1, gain=1.0)
        await asyncio.sleep(after_s)
        stopped = one.announcements.stop(first.playback_id)
        assert [(played.playback_id, played.played_ms) for played in stopped.playbacks] == [
            (first.playback_id, one.leg.sounding_ms())
        ]
        await asyncio.sleep(2)
        assert one.leg.sounding_ms(500) == 1000
        assert one.ends[-1] == (second.playback_id, "completed", 1000)


@in_virtual_time
@pytest.mark.parametrize("after_s", [1.0, 2.8])
async def test_stopping_one_that_waits_does_not_touch_the_one_that_is_heard(after_s: float) -> None:
    async with line() as one:
        first = one.announcements.play(prompt(3000), loop=1, gain=1.0)
        second = one.announcements.play(prompt(1000, 500), loop=1, gain=1.0)
        third = one.announcements.play(prompt(1000, 700), loop=1, gain=1.0)
        await asyncio.sleep(after_s)
        assert one.announcements.stop(second.playback_id).played_ms == 0
        await asyncio.sleep(4)
        assert (one.leg.sounding_ms(), one.leg.sounding_ms(700)) == (3000, 1000)
        assert one.leg.sounding_ms(500) <= 20
        assert one.ends == [
            (second.playback_id, "stopped", 0),
            (first.playback_id, "completed", 3000),
            (third.playback_id, "completed", 1000),
        ]


@in_virtual_time
async def test_stopping_ends_all_and_then_there_is_nothing_to_stop() -> None:
    async with line() as one:
        playbacks = [one.announcements.play(prompt(3000), loop=1, gain=1.0) for _ in range(3)]
        await asyncio.sleep(2.7)
        stopped = one.announcements.stop()
        assert [played.playback_id for played in stopped.playbacks] == [one.playback_id for one in playbacks]
        assert [played.played_ms for played in stopped.playbacks[1:]] == [0, 0]
        assert stopped.played_ms == one.leg.sounding_ms()
        assert one.announcements.stop().playbacks == []
        await asyncio.sleep(1)
        again = one.announcements.play(prompt(100), loop=1, gain=1.0)
        await asyncio.sleep(1)
        assert one.ends[-1] == (again.playback_id, "completed", 100)


@in_virtual_time
async def test_words_that_are_stopped_before_they_are_rendered_are_never_heard() -> None:
    async with line() as one:
        said = one.announcements.say(speech(1000, waits_s=1.0))
        await asyncio.sleep(0.5)
        assert one.announcements.stop(said.playback_id).played_ms == 0
        await asyncio.sleep(2)
        assert one.leg.sounding_ms() == 0


@in_virtual_time
async def test_a_voice_that_fails_is_told_with_what_was_heard_and_the_next_one_comes() -> None:
    async with line() as one:
        failed = one.announcements.say(speech(300, fails=True))
        silent = one.announcements.say(speech(fails=True))
        last = one.announcements.play(prompt(100), loop=1, gain=1.0)
        await asyncio.sleep(2)
        assert sorted(one.ends, key=lambda end: end[2]) == [
            (silent.playback_id, "failed", 0),
            (last.playback_id, "completed", 100),
            (failed.playback_id, "failed", 300),
        ]


@in_virtual_time
async def test_the_end_of_the_call_ends_them_and_tells_the_truth() -> None:
    async with line() as one:
        heard = one.announcements.play(prompt(3000), loop=1, gain=1.0)
        waiting = one.announcements.play(prompt(3000), loop=1, gain=1.0)
        await asyncio.sleep(1)
        one.announcements.close()
        assert one.ends == [
            (heard.playback_id, "hung_up", one.leg.sounding_ms()),
            (waiting.playback_id, "hung_up", 0),
        ]
        with pytest.raises(WrongCallState):
            one.announcements.play(prompt(100), loop=1, gain=1.0)


@in_virtual_time
async def test_only_so_many_may_wait() -> None:
    async with line() as one:
        for _ in range(MAX_WAITING):
            one.announcements.play(prompt(3000), loop=1, gain=1.0)
        with pytest.raises(WrongCallState, match="waiting"):
            one.announcements.play(prompt(3000), loop=1, gain=1.0)


@in_virtual_time
async def test_on_another_rate_of_the_leg_it_lasts_as_long() -> None:
    async with line() as one:
        one.leg.change_rate(16000)
        one.announcements.play(prompt(1000), loop=1, gain=1.0)
        await asyncio.sleep(2)
        assert [end[1:] for end in one.ends] == [("completed", 1000)]


@in_virtual_time
async def test_a_voice_that_is_slow_does_not_keep_the_call_from_its_end() -> None:
    async with line() as one:
        slow = one.announcements.say(speech(1000, waits_s=100.0))
        await asyncio.sleep(1)
        began_at = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began_at < 1
    assert one.ends == [(slow.playback_id, "hung_up", 0)]
