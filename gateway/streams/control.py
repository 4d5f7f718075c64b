# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API and the dialplan may do with streams: a Protocol that `Streams` satisfies, and the values that pass."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import Field

from gateway.store.records import Record
from gateway.streams.messages import Encoding, ProtocolName, StreamDirection, Track

if TYPE_CHECKING:
    from gateway.calls.call import Call
    from gateway.streams.connection import Connector
    from gateway.streams.order import StreamOrder

StreamState = Literal["connecting", "connected", "reconnecting", "ended"]


class StreamInfo(Record):
    """A stream as it is now."""

    stream_id: str
    call_id: str
    stream_url: str
    """Empty: the backend came to us."""
    protocol: ProtocolName
    codec: Encoding
    sample_rate: int
    direction: StreamDirection
    tracks: list[Track]
    state: StreamState
    metadata: dict[str, str] = Field(default={})


class StreamControl(Protocol):
    """The streams of all calls."""

    async def start(self, call: "Call", order: "StreamOrder", connector: "Connector | None" = None) -> StreamInfo:
        """Start a stream on a call that stands; returns while it connects.

        `connector`: where its connections come from, if not from the order's URL. A stream that talks takes the call
        over from what attended it. Raises `WrongCallState`, `BadStreamOrder`, `UrlError`.
        """
        ...

    async def stop(self, stream_id: str) -> StreamInfo:
        """End it; its call goes on as its order's `on_end` says. Raises `NoSuchStream`."""
        ...

    def of_call(self, call_id: str) -> Sequence[StreamInfo]:
        """The call's streams that have not ended, oldest first."""
        ...
