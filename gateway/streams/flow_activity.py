# SPDX-License-Identifier: GPL-3.0-or-later
"""A call whose flow URL is asked what it is for; then it is for that."""

from collections.abc import Awaitable, Callable

import httpx
import structlog

from gateway.api.control import ActivityKind
from gateway.calls.activity import DeafActivity, PlayPrompt
from gateway.calls.attendance import StartActivity
from gateway.calls.call import Call
from gateway.calls.prompts import Prompt
from gateway.calls.recording import RecordingState
from gateway.errors import CallError, FlowFailed, UrlError
from gateway.streams.flow import HangUpAction, PlayAction, StreamAction, ask_flow
from gateway.streams.order import StreamOrder

log = structlog.get_logger(__name__)


class FlowActivity(DeafActivity):
    """Nobody hears or speaks meanwhile."""

    kind: ActivityKind = "stream"

    def __init__(
        self,
        call: Call,
        url: str,
        client: httpx.AsyncClient,
        find: Callable[[str], Awaitable[Prompt]],
        stream: Callable[[StreamOrder], Awaitable[StartActivity]],
    ) -> None:
        """`find`: the recording behind a URL; raises `BadPrompt`, `UrlError`. `stream`: what a call is for that is
        streamed; raises `BadStreamOrder`, `UrlError`."""
        self._call = call
        self._url = url
        self._client = client
        self._find = find
        self._stream = stream

    async def run(self) -> str:
        try:
            action = await ask_flow(self._client, self._url, self._call.facts)
            match action:
                case StreamAction():
                    order = StreamOrder(
                        action.ws_url, "teler", action.format, options={"chunk_ms": str(action.chunk_ms)}
                    )
                    start = await self._stream(order)
                    if action.record and self._call.recording is RecordingState.OFF:
                        await self._call.record("start")
                    self._call.attendance.follow_with(start)
                case PlayAction(media_url):
                    prompt = await self._find(media_url)
                    self._call.attendance.follow_with(
                        lambda call: PlayPrompt(call.announcements, prompt, loop=1, gain=1.0)
                    )
                case HangUpAction():
                    pass
        except (FlowFailed, CallError, UrlError) as fault:
            log.warning("flow_failed", cause=str(fault))
            return "flow_failed"
        return "completed"
