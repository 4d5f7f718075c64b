# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner outlives what goes wrong: slow and failing databases, campaigns that vanish, faults of ours."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.campaigns import drive as drives
from gateway.campaigns import runner as runners
from gateway.campaigns.attempt import AttemptRecord, Extracted
from gateway.campaigns.outcome import CampaignState, Outcome
from gateway.campaigns.policy import Policy
from gateway.campaigns.runner import Extract, Runner, extract_nothing
from gateway.errors import NoSuchCampaign, StoreError
from gateway.events import EventBus
from gateway.sip.sip_thread import new_handle
from gateway.store import SessionStore, open_store
from gateway.store.campaign_records import AttemptEnd, CampaignRecord, ClaimedAttempt
from gateway.telemetry import Metrics
from tests.fakes.campaign_line import ScriptedLine
from tests.gateway.test_store_campaigns import Listed, opened
from tests.store_databases import url_of

pytestmark = pytest.mark.usefixtures("each_database")

POLICY: dict[str, Any] = {"windows": [{"from": "00:00", "to": "24:00"}], "cps": 1000, "concurrency": 50}
FIELD = {"name": "sure", "type": "boolean", "question": "Are they sure?"}


@dataclass
class Office:
    """A runner at work, its telephone and its store."""

    store: SessionStore
    line: ScriptedLine
    runner: Runner
    task: "asyncio.Task[None]"

    async def campaign(self, name: str = "c", contacts: int = 5, **policy: Any) -> None:
        """Make it, and start it."""
        told = Policy.model_validate(POLICY | policy).model_dump_json(by_alias=True)
        await self.store.campaigns.add(CampaignRecord(name, name, CampaignState.DRAFT, told, datetime.now(UTC)))
        listed = [Listed(line, f"+49301234{line:04}") for line in range(1, contacts + 1)]
        await self.store.campaigns.add_contacts(name, listed, datetime.now(UTC))
        await self.store.campaigns.release(name)
        await self.runner.start(name)

    async def outcomes(self, name: str = "c") -> dict[Outcome, int]:
        """When it is over."""
        await until_true(lambda: self.is_over(name))
        return await self.store.campaigns.outcomes(name)

    async def is_settled(self, name: str) -> bool:
        sums = (await self.store.campaigns.get(name)).sums
        return sums.settled == sums.contacts

    async def is_over(self, name: str) -> bool:
        return (await self.store.campaigns.get(name)).state is CampaignState.DONE


async def until_true(check: Callable[[], Awaitable[bool]]) -> None:
    """Ask until it is so."""
    async with asyncio.timeout(20):
        while not await check():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@asynccontextmanager
async def office(
    folder: Path, extract: Extract = extract_nothing, *, database: Path | None = None
) -> AsyncIterator[Office]:
    """`database`: the folder of the database, if it is another one."""
    url = url_of(database or folder)
    async with open_store(url, folder, Metrics()) as store:
        line = ScriptedLine()
        runner = Runner(store, line, EventBus((await store.events.begin_run())[0]), extract, new_handle)
        task = asyncio.create_task(runner.run())
        try:
            yield Office(store, line, runner, task)
            assert not task.done() or task.cancelled(), "the runner has ended"
        finally:
            task.cancel()
            await asyncio.wait([task])


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runners, "_BEAT_S", 0.05)
    monkeypatch.setattr(runners, "_LEASE_S", 1.0)


async def test_a_campaign_that_vanishes_under_its_calls_does_not_end_the_others(tmp_path: Path) -> None:
    async with office(tmp_path) as it:
        end = it.store.attempts.end

        async def vanishing(attempt: ClaimedAttempt, how: AttemptEnd) -> bool:
            if attempt.campaign_id == "gone":
                raise NoSuchCampaign("gone")
            return await end(attempt, how)

        it.store.attempts.end = vanishing  # type: ignore[method-assign, assignment]
        await it.campaign("gone", 1)
        await it.campaign("c")
        assert await it.outcomes() == {Outcome.TALKED: 5}


async def test_a_policy_that_this_version_cannot_read_does_not_keep_the_others_from_running(tmp_path: Path) -> None:
    async with office(tmp_path) as it:
        of_tomorrow = CampaignRecord("t", "t", CampaignState.RUNNING, '{"warp": 9}', datetime.now(UTC))
        await it.store.campaigns.add(of_tomorrow)
        await it.campaign("c")
        assert await it.outcomes() == {Outcome.TALKED: 5}


async def test_a_database_that_takes_longer_than_an_invite_may_be_late_does_not_stop_the_campaign(
    tmp_path: Path,
) -> None:
    async with office(tmp_path) as it:
        claim, later_slot = it.store.attempts.claim, it.store.attempts.later_slot

        async def slow_claim(*about: Any, **more: Any) -> Any:
            claimed = await claim(*about, **more)
            await asyncio.sleep(3 * drives._LATE_S)
            return claimed

        async def slow_slot(*about: Any) -> float:
            slot_at = await later_slot(*about)
            await asyncio.sleep(3 * drives._LATE_S)
            return slot_at

        it.store.attempts.claim = slow_claim  # type: ignore[method-assign]
        it.store.attempts.later_slot = slow_slot  # type: ignore[method-assign, assignment]
        await it.campaign(contacts=3, cps=50)
        assert await it.outcomes() == {Outcome.TALKED: 3}


@pytest.mark.parametrize("verb", ["pause", "drain", "cancel"])
async def test_what_was_claimed_does_not_leave_any_more_when_the_campaign_is_stopped(
    tmp_path: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drives, "_HORIZON_S", 1.0)  # so that many are claimed, and wait for their slots
    async with office(tmp_path) as it:
        await it.campaign(contacts=20, cps=20)

        async def calls() -> bool:
            return len(it.line.calls) > 0

        await until_true(calls)
        await getattr(it.runner, verb)("c")
        placed = len(it.line.calls)
        await asyncio.sleep(0.3)
        assert len(it.line.calls) == placed < 20
        if verb == "pause":
            await it.runner.start("c")
        await until_true(lambda: it.is_settled("c"))
        assert len(it.line.calls) == (20 if verb == "pause" else placed), "and nobody is called twice"


async def test_a_claim_of_which_nobody_heard_whether_it_was_written_does_not_stay_open(
    tmp_path: Path, short_lease: None
) -> None:
    async with office(tmp_path) as it:
        claim, lost = it.store.attempts.claim, [True]

        async def claimed_but_cut_off(*about: Any, **more: Any) -> Any:
            claimed = await claim(*about, **more)
            if claimed.attempts and lost:
                lost.pop()
                raise StoreError("connection lost after COMMIT")
            return claimed

        it.store.attempts.claim = claimed_but_cut_off  # type: ignore[method-assign]
        await it.campaign(cps=1000, contacts=2, concurrency=1)
        assert await it.outcomes() == {Outcome.UNKNOWN: 1, Outcome.TALKED: 1}


async def test_a_conversation_is_read_again_when_what_came_of_it_could_not_be_written(
    tmp_path: Path, short_lease: None
) -> None:
    async with office(tmp_path) as it:
        extracted, failing = it.store.attempts.extracted, [True]

        async def failing_once(attempt_id: str, found: Mapping[str, Extracted]) -> bool:
            if failing:
                failing.pop()
                raise StoreError("the disk is full")
            return await extracted(attempt_id, found)

        it.store.attempts.extracted = failing_once  # type: ignore[method-assign, assignment]
        await it.campaign(contacts=1, extract=[FIELD])
        assert await it.outcomes() == {Outcome.TALKED: 1}


async def test_a_conversation_is_read_again_when_it_could_not_be_looked_up(tmp_path: Path, short_lease: None) -> None:
    failing = [True]

    async def failing_once(policy: Policy, record: AttemptRecord) -> Mapping[str, Extracted]:
        if failing:
            failing.pop()
            raise StoreError("the server is gone")
        return {"sure": True}

    async with office(tmp_path, failing_once) as it:
        await it.campaign(contacts=1, extract=[FIELD])
        assert await it.outcomes() == {Outcome.TALKED: 1}
        assert [one.disposition for one in await it.store.attempts.results("c", 0, 9)] == [{"sure": True}]


async def test_a_conversation_is_read_once_however_long_that_takes(tmp_path: Path, short_lease: None) -> None:
    reads, may_end = list[str](), asyncio.Event()

    async def slow(policy: Policy, record: AttemptRecord) -> Mapping[str, Extracted]:
        reads.append(record.attempt_id or "")
        await may_end.wait()
        return {"sure": True}

    async with opened(tmp_path) as store:
        told = Policy.model_validate(POLICY | {"extract": [FIELD]}).model_dump_json(by_alias=True)
        await store.campaigns.add(CampaignRecord("c", "c", CampaignState.RUNNING, told, datetime.now(UTC)))
        await store.campaigns.add_contacts("c", [Listed(1, "+493012340001")], datetime.now(UTC))
        await store.campaigns.release("c")
        now = datetime.now(UTC)
        (attempt,) = (
            await store.attempts.claim(
                "c", "dead", now, lambda load: 1, lambda zone: True, new_handle, gap_s=1, horizon_s=1
            )
        ).attempts
        await store.attempts.end(attempt, AttemptEnd(Outcome.TALKED, now, awaits_extraction=True))
    async with office(tmp_path, slow) as it:
        await asyncio.sleep(0.5)  # ten beats
        may_end.set()
        assert await it.outcomes() == {Outcome.TALKED: 1}
    assert reads == [attempt.attempt_id]


async def test_a_fault_in_reading_a_conversation_leaves_its_columns_empty(tmp_path: Path) -> None:
    async def faulty(policy: Policy, record: AttemptRecord) -> Mapping[str, Extracted]:
        raise RuntimeError("a bug")

    async with office(tmp_path, faulty) as it:
        await it.campaign(contacts=2, extract=[FIELD])
        assert await it.outcomes() == {Outcome.TALKED: 2}
        assert [one.disposition for one in await it.store.attempts.results("c", 0, 9)] == [{"sure": None}] * 2


async def test_a_gateway_ends_though_its_database_has_failed(tmp_path: Path) -> None:
    async with office(tmp_path) as it:

        async def failing(*about: Any) -> None:
            raise StoreError("the server is gone")

        it.store.attempts.withdraw = failing  # type: ignore[method-assign, assignment]
        await it.campaign(contacts=50, cps=50)

        async def calls() -> bool:
            return len(it.line.calls) > 0  # and some wait for their slots

        await until_true(calls)
        it.task.cancel()
        await asyncio.wait([it.task], timeout=10)
        assert it.task.cancelled()


async def test_a_gateway_on_another_machine_is_not_taken_for_dead_when_one_begins(tmp_path: Path) -> None:
    async with office(tmp_path / "one") as it:
        it.line.answer = lambda attempt: None  # it rings
        await it.campaign(contacts=1)

        async def calls() -> bool:
            return len(it.line.calls) > 0

        await until_true(calls)
        async with office(tmp_path / "two", database=tmp_path / "one") as other:
            await until_true(lambda: has_beaten(other))
        (attempt,) = await it.store.attempts.attempts("c", before=None, outcomes=(), limit=9)
        assert attempt.outcome is None


async def test_what_a_killed_gateway_has_left_is_unknown_as_soon_as_the_next_one_has_its_folder(
    tmp_path: Path,
) -> None:
    async with office(tmp_path) as it:
        it.line.answer = lambda attempt: None
        await it.campaign(contacts=1)

        async def calls() -> bool:
            return len(it.line.calls) > 0

        await until_true(calls)
    async with office(tmp_path) as it:
        assert await it.outcomes() == {Outcome.UNKNOWN: 1}


async def has_beaten(it: Office) -> bool:
    """It has looked for what dead gateways have left: its drives have begun."""
    return "c" in it.runner._drives
