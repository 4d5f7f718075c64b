# SPDX-License-Identifier: GPL-3.0-or-later
"""What an agent's tools may do to its call: `agent.tools.tool.CallControl` over the switchboard."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from agent.errors import ToolFailed
from gateway.calls.call import Call
from gateway.errors import CallError
from media.errors import MediaMisuse

if TYPE_CHECKING:
    from gateway.calls.switchboard import Switchboard


class CallHands:
    """One call's."""

    def __init__(self, switchboard: "Switchboard", call: Call) -> None:
        self._switchboard = switchboard
        self._call = call

    async def transfer(self, to: str) -> None:
        with _told():
            transfer = await self._switchboard.transfer(self._call, to)
        outcome = await transfer.until_decided()
        if outcome.status != "completed":
            raise ToolFailed(_why(outcome.sip_code))

    async def send_keys(self, keys: str) -> None:
        with _told():
            await self._call.keypad.dial(self._call.leg, keys)

    async def hold(self) -> None:
        with _told():
            await self._call.legs.hold(self._call.call_id)

    async def resume(self) -> None:
        with _told():
            await self._call.legs.resume(self._call.call_id)

    def do_not_call(self) -> None:
        with _told():
            self._switchboard.do_not_call(self._call)


@contextmanager
def _told() -> Iterator[None]:
    """The model learns what kind of thing went wrong, not whom it was about."""
    try:
        yield
    except (CallError, MediaMisuse) as fault:
        raise ToolFailed(f"it cannot be done now ({type(fault).__name__})") from fault


def _why(sip_code: int | None) -> str:
    match sip_code:
        case 486 | 600:
            return "the line is busy"
        case 408 | 480 | 487:
            return "nobody answered"
        case 603 | 403:
            return "it was declined"
        case None:
            return "it failed, and the other side does not say why"
    return f"it failed (SIP status {sip_code})"
