# SPDX-License-Identifier: GPL-3.0-or-later
"""Sending the far end of a call elsewhere: REFER (RFC 3515), blind, or attended with Replaces (RFC 3891, RFC 5589).

TRYING --180--> RINGING --2xx--> COMPLETED    the call is hung up: its far end talks to somebody else
   +---------------+------------> FAILED      300 and more, silence, the call's end: the call goes on as it was

Through a trunk that does not do as REFER says (`refer_out`) we call whom it is for and bridge the two: COMPLETED then
means that they talk, and the call stands until they part.
"""

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from gateway.api.control import TransferInfo, TransferMode, TransferStatus
from gateway.errors import CallError
from gateway.sip.events import TransferReported

if TYPE_CHECKING:
    from gateway.calls.bridge import Bridge
    from gateway.calls.call import Call

log = structlog.get_logger(__name__)

END_REASON = "transferred"


def status_of(code: int, *, is_final: bool) -> TransferStatus:
    """What a SIP status says of the transfer. One that ends without a final status tells nothing good."""
    if 200 <= code < 300:
        return "completed"
    if is_final or code >= 300:
        return "failed"
    return "trying" if code < 180 else "ringing"


class Transfer:
    """One transfer of one call. `receive` takes what the far end reports, `run` is its life."""

    def __init__(self, call: "Call", to: str, other: "Call | None" = None) -> None:
        """To an address; or, attended, to the far end of another call of ours."""
        mode: TransferMode = "blind" if other is None else "attended"
        self.info = TransferInfo(to=to if other is None else other.call_id, mode=mode, status="trying")
        self._call = call
        self._other = other
        self._decided = asyncio.Event()

    @property
    def is_under_way(self) -> bool:
        return not self._decided.is_set()

    def receive(self, report: TransferReported) -> None:
        """Take a report of the far end; what comes after the last word is dropped."""
        if self.is_under_way:
            status = status_of(report.code, is_final=report.is_final)
            if status == "completed":
                self._call.expect_end(END_REASON)
            self._move(status, report.code)

    def fail(self) -> None:
        """Nobody will tell how it ends: the REFER could not be sent, or no word came in time."""
        if self.is_under_way:
            self._move("failed", None)

    async def run(self, timeout_s: float) -> None:
        """Until it is decided; then the legs that are not needed any more are hung up."""
        if self._other is not None:
            self._other.expect_end(END_REASON)  # by the far end, as soon as it is called in our place
        try:
            async with asyncio.timeout(timeout_s):
                await self._decided.wait()
        except TimeoutError:
            self.fail()
        if self._other is not None and self.info.status == "failed":
            self._other.expect_end(None)
        if self.info.status == "completed":
            for one in (self._call, self._other):
                if one is not None:
                    with contextlib.suppress(CallError):  # over already
                        await one.hang_up(END_REASON)

    async def run_as_bridge(self, bridge: "Bridge", other: "Call") -> None:
        """Until the far end and `other` talk, or never will."""
        await bridge.joined.wait()
        if bridge.is_joined:
            self._move("completed", None)
        else:
            self._move("failed", other.final_code or None)

    async def until_decided(self) -> TransferInfo:
        """How it ended."""
        await self._decided.wait()
        return self.info

    def _move(self, status: TransferStatus, code: int | None) -> None:
        self.info = self.info.model_copy(update={"status": status, "sip_code": code})
        log.info("call_transfer", call_id=self._call.call_id, mode=self.info.mode, status=status, code=code)
        if status in ("completed", "failed"):
            self._decided.set()
        self._call.publish("call.transfer", to=self.info.to, mode=self.info.mode, status=status, sip_code=code)
