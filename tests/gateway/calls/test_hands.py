# SPDX-License-Identifier: GPL-3.0-or-later
"""What tools may do to a call, and what the model is told when it cannot be done."""

import asyncio
from typing import Any, cast

import pytest

from agent.errors import ToolFailed
from gateway.calls.hands import CallHands
from gateway.calls.transfer import Transfer
from gateway.errors import BadAddress, WrongCallState
from gateway.sip.events import TransferReported


class _Call:
    call_id = "call_1"

    def publish(self, kind: str, **data: object) -> None: ...

    def expect_end(self, reason: str | None) -> None: ...


class _Switchboard:
    """Sends calls wherever it is told, unless it refuses."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.transfers: list[Transfer] = []
        self.refusals = 0
        self._fault = fault

    async def transfer(self, call: Any, to: str) -> Transfer:
        if self._fault is not None:
            raise self._fault
        self.transfers.append(Transfer(call, to))
        return self.transfers[-1]

    def do_not_call(self, call: Any) -> None:
        if self._fault is not None:
            raise self._fault
        self.refusals += 1


def hands(switchboard: _Switchboard) -> CallHands:
    return CallHands(cast(Any, switchboard), cast(Any, _Call()))


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (200, None),
        (486, "the line is busy"),
        (480, "nobody answered"),
        (603, "it was declined"),
        (500, "SIP status 500"),
    ],
)
async def test_a_transfer_ends_when_the_far_end_says_how(code: int, told: str | None) -> None:
    switchboard = _Switchboard()
    transferring = asyncio.create_task(hands(switchboard).transfer("sip:200@h"))
    await asyncio.sleep(0)
    (transfer,) = switchboard.transfers
    transfer.receive(TransferReported("call_1", 180, is_final=False))
    await asyncio.sleep(0)
    assert not transferring.done()
    transfer.receive(TransferReported("call_1", code, is_final=True))
    if told is None:
        await transferring
    else:
        with pytest.raises(ToolFailed, match=told):
            await transferring


async def test_what_the_call_does_not_allow_is_told_without_details() -> None:
    with pytest.raises(ToolFailed, match=r"^it cannot be done now \(WrongCallState\)$"):
        await hands(_Switchboard(WrongCallState("sip:secret@h"))).transfer("sip:200@h")


async def test_a_caller_whose_number_is_not_known_cannot_be_put_on_the_do_not_call_list() -> None:
    with pytest.raises(ToolFailed, match="BadAddress"):
        hands(_Switchboard(BadAddress("+15550100"))).do_not_call()
    known = _Switchboard()
    hands(known).do_not_call()
    assert known.refusals == 1
