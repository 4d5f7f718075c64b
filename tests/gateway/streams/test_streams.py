# SPDX-License-Identifier: GPL-3.0-or-later
"""Which streams can be: asked before anything is taken from what the call is for."""

from typing import cast

import pytest

from gateway.calls.call import Call
from gateway.errors import BadStreamOrder
from gateway.events import EventBus
from gateway.guard import OutboundGuard
from gateway.streams.comfort import noise
from gateway.streams.messages import ProtocolName, StreamDirection
from gateway.streams.order import StreamOrder
from gateway.streams.reception import Reception
from gateway.streams.streams import Agents, Streams
from tests.gateway.streams.test_stream import LineCall, Uncounted


@pytest.mark.parametrize(
    ("protocol", "direction"), [("conversationrelay", "inbound"), ("audiosocket", "bidirectional")]
)
async def test_a_backend_that_comes_to_us_is_asked_like_any_other_whether_its_stream_can_be(
    protocol: ProtocolName, direction: StreamDirection
) -> None:
    connector = Reception().connector()
    streams = Streams(OutboundGuard(), {"": connector}, cast(Agents, {}), "", {}, EventBus(), Uncounted(), noise())
    with pytest.raises(BadStreamOrder):
        await streams.start(cast(Call, LineCall()), StreamOrder(protocol=protocol, direction=direction), connector)
