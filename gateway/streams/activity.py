# SPDX-License-Identifier: GPL-3.0-or-later
"""A stream whose backend talks, as what a call is for."""

import asyncio
from collections.abc import Callable

from gateway.api.control import ActivityKind
from gateway.calls.call import Call
from gateway.streams.order import OnEnd
from gateway.streams.stream import Ending, Stream
from media.frames import PcmFrame
from media.playout import PlayoutEvent

END_REASONS = {
    Ending.STOPPED: "stream_ended",
    Ending.BACKEND_CLOSED: "stream_ended",
    Ending.BACKEND_HUNG_UP: "backend_hung_up",
    Ending.UNREACHABLE: "backend_unreachable",
    Ending.CALL_ENDED: "stream_ended",
}


class StreamActivity:
    """Joins a running `Stream` to its call."""

    kind: ActivityKind = "stream"
    hears_keys = True
    line = None
    """Nobody measures it."""

    def __init__(self, call: Call, stream: Stream, on_end: OnEnd, successor: Callable[[Ending], bool]) -> None:
        """`successor` gives the call to whoever has it after this ending; False: nobody."""
        self._call = call
        self._stream = stream
        self._on_end = on_end
        self._successor = successor
        tracks = stream.order.tracks if stream.order.hears else ()
        self._hears_caller = "inbound" in tracks
        self._hears_us = "outbound" in tracks

    def receive_frames(self, frames: list[PcmFrame]) -> None:
        if self._hears_caller:
            self._stream.receive_frames(frames)

    def receive_playout(self, event: PlayoutEvent) -> None:
        self._stream.receive_playout(event)

    def receive_digit(self, digit: str, *, secret: bool) -> None:
        self._stream.session.key_pressed(digit, secret=secret)

    def audio_changed(self) -> None:
        """Frames name their rate, and the playout asks the leg for it."""

    async def run(self) -> str:
        stream = self._stream
        if self._hears_us:
            self._call.leg.tap_sent(stream.receive_sent)
        try:
            stream.speak()
            await asyncio.wait((stream.ending,))
            ending = stream.ending.result()
            self._successor(ending)
            return END_REASONS[ending]
        finally:
            self._call.leg.untap_sent(stream.receive_sent)
            stream.end(Ending.STOPPED)
            stream.fall_silent()
