# SPDX-License-Identifier: GPL-3.0-or-later
"""What the far end's reports make of a transfer, and the transfer of the calls."""

import asyncio
from typing import cast

import pytest

from gateway.api.control import TransferStatus
from gateway.calls.call import Call
from gateway.calls.transfer import Transfer, status_of
from gateway.errors import WrongCallState
from gateway.sip.events import TransferReported
from tests.fakes.virtual_time import in_virtual_time


class Leg:
    """A call as far as a transfer touches it."""

    def __init__(self, call_id: str, *, is_over: bool = False) -> None:
        self.call_id = call_id
        self.is_over = is_over
        self.expected_end: str | None = None
        self.hung_up: list[str] = []
        self.told: list[tuple[object, object]] = []

    def expect_end(self, reason: str | None) -> None:
        self.expected_end = reason

    def publish(self, kind: str, **data: object) -> None:
        assert kind == "call.transfer"
        self.told.append((data["status"], data["sip_code"]))

    async def hang_up(self, reason: str) -> None:
        if self.is_over:
            raise WrongCallState("over")
        self.hung_up.append(reason)


def transfer_of(leg: Leg, other: Leg | None = None) -> Transfer:
    return Transfer(cast(Call, leg), "sip:ann@example.com", cast(Call, other))


def report(code: int, *, is_final: bool = False) -> TransferReported:
    return TransferReported("call_1", code, is_final)


@pytest.mark.parametrize(
    ("code", "is_final", "status"),
    [
        (100, False, "trying"),
        (180, False, "ringing"),
        (183, False, "ringing"),
        (200, True, "completed"),
        (200, False, "completed"),
        (486, True, "failed"),
        (302, False, "failed"),
        (100, True, "failed"),
    ],
)
def test_a_sip_status_says_how_it_goes(code: int, is_final: bool, status: TransferStatus) -> None:
    assert status_of(code, is_final=is_final) == status


@in_virtual_time
async def test_when_it_is_completed_the_call_is_hung_up() -> None:
    leg = Leg("call_1")
    transfer = transfer_of(leg)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(transfer.run(60))
        await asyncio.sleep(0)
        for code in (100, 180, 200):
            assert leg.hung_up == []
            transfer.receive(report(code))
    assert leg.told == [("trying", 100), ("ringing", 180), ("completed", 200)]
    assert (leg.hung_up, leg.expected_end) == (["transferred"], "transferred")
    transfer.receive(report(486, is_final=True))
    assert transfer.info.status == "completed"


@in_virtual_time
async def test_when_it_fails_the_call_goes_on() -> None:
    leg = Leg("call_1")
    transfer = transfer_of(leg)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(transfer.run(60))
        transfer.receive(report(486, is_final=True))
    assert (leg.hung_up, leg.expected_end, transfer.info.sip_code) == ([], None, 486)
    assert not transfer.is_under_way


@in_virtual_time
async def test_a_far_end_that_falls_silent_has_failed_after_the_time_limit() -> None:
    leg = Leg("call_1")
    transfer = transfer_of(leg)
    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(transfer.run(25))
        await asyncio.sleep(0)
        transfer.receive(report(180))
    assert asyncio.get_running_loop().time() == began + 25
    assert leg.told == [("ringing", 180), ("failed", None)]
    assert leg.hung_up == []


@in_virtual_time
async def test_an_attended_one_ends_both_calls_whoever_hangs_up_first() -> None:
    leg, other = Leg("call_1"), Leg("call_2", is_over=True)
    transfer = transfer_of(leg, other)
    assert (transfer.info.mode, transfer.info.to) == ("attended", "call_2")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(transfer.run(60))
        await asyncio.sleep(0)
        assert other.expected_end == "transferred"
        transfer.receive(report(200, is_final=True))
    assert leg.hung_up == ["transferred"]


@in_virtual_time
async def test_an_attended_one_that_fails_leaves_both_calls() -> None:
    leg, other = Leg("call_1"), Leg("call_2")
    transfer = transfer_of(leg, other)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(transfer.run(60))
        await asyncio.sleep(0)
        transfer.receive(report(603, is_final=True))
    assert (leg.hung_up, other.hung_up, other.expected_end) == ([], [], None)
