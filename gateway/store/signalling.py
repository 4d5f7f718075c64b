# SPDX-License-Identifier: GPL-3.0-or-later
"""The SIP messages of calls that are over: one row a call, written once."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import asdict

from sqlalchemy import Executable, bindparam, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.sip.signalling import SipMessage
from gateway.store.events import Put
from gateway.store.sealing import ColumnSealer
from gateway.store.tables import SessionRow, SignallingRow, Text

_SEALED = "signalling.messages"

_ADD = insert(SignallingRow).from_select(
    ["call_id", "messages"],
    # Not if the session has been erased meanwhile.
    select(SessionRow.call_id, bindparam("new_messages", type_=Text)).where(SessionRow.call_id == bindparam("of_call")),
)
SIGNALLING_STATEMENTS: dict[str, Executable] = {"signalling.add": _ADD}


class SignallingRows:
    """Part of `SessionStore`: writes go through its writer, in order."""

    def __init__(
        self,
        put: Put,
        reading: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
        sealer: ColumnSealer,
    ) -> None:
        self._put = put
        self._reading = reading
        self._sealer = sealer

    async def add(self, call_id: str, messages: Sequence[SipMessage]) -> None:
        """All that passed on a call."""
        kept = json.dumps([asdict(message) for message in messages], separators=(",", ":"))
        await self._put((_ADD, {"of_call": call_id, "new_messages": self._sealer.seal(kept, _SEALED)}))

    async def of_call(self, call_id: str) -> tuple[SipMessage, ...]:
        """In their order; none when nothing was kept. Raises `StoreError`."""
        async with self._reading() as connection:
            found = await connection.execute(select(SignallingRow.messages).where(SignallingRow.call_id == call_id))
            kept = found.scalar_one_or_none()
        if kept is None:
            return ()
        return tuple(SipMessage(**one) for one in json.loads(self._sealer.open(kept, _SEALED)))
