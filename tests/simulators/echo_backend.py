# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend that returns every audio message at once, in a process of its own."""

import asyncio
from multiprocessing.queues import Queue

import picows
import uvloop


class _Echo(picows.WSListener):
    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        if frame.msg_type == picows.WSMsgType.BINARY:
            transport.send(picows.WSMsgType.BINARY, frame.get_payload_as_bytes())
        elif frame.msg_type == picows.WSMsgType.CLOSE:
            transport.send_close(picows.WSCloseCode.OK)
            transport.disconnect()


def serve_echo(port: "Queue[int]") -> None:
    """Listen on a free port, tell it, and serve until the process is ended."""
    uvloop.run(_serve(port))


async def _serve(port: "Queue[int]") -> None:
    server = await picows.ws_create_server(lambda request: _Echo(), "127.0.0.1", 0)
    port.put(server.sockets[0].getsockname()[1])
    async with server:
        await asyncio.get_running_loop().create_future()
