# SPDX-License-Identifier: GPL-3.0-or-later
"""The SIP messages of calls that are over, in the database."""

from pathlib import Path

import pytest

from gateway.sip.signalling import SipMessage
from tests.gateway.test_store import session
from tests.gateway.test_store_sealing import opened
from tests.media.decoder import KEY
from tests.store_databases import bytes_on_disk

pytestmark = pytest.mark.usefixtures("each_database")

MESSAGES = (
    SipMessage(1, False, "UDP", "192.0.2.1:5060", "192.0.2.9:5060", "one", "INVITE xylophone\r\n"),
    SipMessage(2, True, "UDP", "192.0.2.1:5060", "192.0.2.9:5060", "one", "SIP/2.0 603 Decline\r\n"),
)


async def test_messages_come_back_in_their_order_and_are_nowhere_in_clear(tmp_path: Path) -> None:
    async with opened(tmp_path, KEY) as store:
        await store.begin(session("c1"))
        await store.signalling.add("c1", MESSAGES)
        await store.flush()
        assert await store.signalling.of_call("c1") == MESSAGES
        assert await store.signalling.of_call("c2") == ()
        assert b"xylophone" not in bytes_on_disk(tmp_path)


async def test_they_go_with_their_session_and_do_not_come_back_after_it(tmp_path: Path) -> None:
    async with opened(tmp_path, None) as store:
        await store.begin(session("c1"))
        await store.signalling.add("c1", MESSAGES)
        assert await store.erase("c1")
        assert b"xylophone" not in bytes_on_disk(tmp_path)
        await store.signalling.add("c1", MESSAGES)
        await store.flush()
        assert await store.signalling.of_call("c1") == ()
