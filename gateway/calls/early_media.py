# SPDX-License-Identifier: GPL-3.0-or-later
"""What a caller hears before it is answered: a recording of ours (183 with our session description, RFC 3960)."""

import asyncio
import contextlib

from gateway.calls.activity import Play
from gateway.calls.call import Call
from gateway.calls.verdict import BeforeAnswer
from gateway.errors import CallRejected
from media.frames import PcmSamples

_AUDIO_WAIT_S = 5.0
"""Longest time until the caller's audio is there: a reliable 183 brings it with its PRACK only."""


class EarlyPrompt:
    """A recording, for callers who ring."""

    def __init__(self, samples: PcmSamples, sample_rate_hz: int) -> None:
        self._samples = samples
        self._sample_rate_hz = sample_rate_hz

    def while_it_rings(self, before_answer: BeforeAnswer) -> BeforeAnswer:
        """Again and again, until whoever decides has decided."""

        async def play_meanwhile(call: Call) -> None:
            if not call.takes_early_media:
                await before_answer(call)
                return
            playing = asyncio.create_task(self._play_for_ever(call), name=f"{call.call_id}:early-media")
            try:
                await before_answer(call)
            finally:
                playing.cancel()
                await asyncio.gather(playing, return_exceptions=True)
                if call.audio is not None:
                    call.audio.clear()

        return play_meanwhile

    def before_refusal(self, code: int) -> BeforeAnswer:
        """Once; then the call is refused."""

        async def play_and_refuse(call: Call) -> None:
            with contextlib.suppress(TimeoutError):  # a caller who does not take our session description
                await self._play(call)
            raise CallRejected(code)

        return play_and_refuse

    async def _play_for_ever(self, call: Call) -> None:
        while True:
            await self._play(call)

    async def _play(self, call: Call) -> None:
        if call.audio is None:
            await call.answer_early()
            await asyncio.wait_for(call.has_audio.wait(), _AUDIO_WAIT_S)
        call.attendance.activity = play = Play(call.leg, self._samples, self._sample_rate_hz)
        await play.run()
