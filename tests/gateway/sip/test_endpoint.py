# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint against a socket that says nothing; in a process of its own, which can have PJSIP only once."""

import asyncio
import multiprocessing
import socket
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing

from gateway.errors import TooManyCalls
from gateway.sip import sip_thread
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.events import CallEnded, SipEvent
from gateway.sip.settings import EndpointSettings, MediaSettings
from gateway.sip.sip_thread import new_handle

MAX_CALLS = 3
SETTINGS = EndpointSettings(
    bind="127.0.0.1",
    port=0,
    transports=("udp",),
    media=MediaSettings(rtp_port_min=29000, rtp_port_max=29100, bind="127.0.0.1", public_address="", srtp="off"),
    codecs=("pcmu",),
    max_calls=MAX_CALLS,
    user_agent="parley-test",
)


async def _refusals() -> list[str]:
    """Why one more is refused: by our count, and by PJSIP's own when we forget ours."""
    sip_thread._SPARE_SLOTS = 0
    events = asyncio.Queue[SipEvent]()
    endpoint = SipEndpoint(SETTINGS, events.put_nowait)
    await endpoint.start()
    found = []
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as silent:
        silent.bind(("127.0.0.1", 0))
        to = f"sip:nobody@127.0.0.1:{silent.getsockname()[1]}"
        for _ in range(MAX_CALLS):
            handle = new_handle()
            await endpoint.place(handle, to)
            await endpoint.hang_up(handle)
            while not isinstance(await events.get(), CallEnded):
                pass
        for _ in range(2):
            try:
                await endpoint.place(new_handle(), to)
            except TooManyCalls as refusal:
                found.append(str(refusal))
            endpoint._sip.silent_until.clear()
    await endpoint.close()
    return found


def refusals() -> list[str]:
    return asyncio.run(_refusals())


def test_calls_that_nobody_answers_count_until_pjsip_has_let_go_of_them() -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        assert process.submit(refusals).result(60) == [
            "all 3 calls are in use (sip.max_calls)",
            "PJSIP has no call left",
        ]
