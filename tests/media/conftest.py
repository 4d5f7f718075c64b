# SPDX-License-Identifier: GPL-3.0-or-later
"""One PJSIP endpoint for each module that has calls to itself."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from media.ports import PcmHub
from tests.media.loopback import Loopback


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def loopback() -> AsyncIterator[Loopback]:
    hub = PcmHub()
    hub.start(asyncio.get_running_loop())
    loopback = Loopback(hub)
    await loopback.start()
    yield loopback
    await loopback.close()
    hub.close()
