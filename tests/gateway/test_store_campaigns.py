# SPDX-License-Identifier: GPL-3.0-or-later
"""Campaigns in the database: nobody is claimed twice, nothing is lost when a gateway dies, sums are right."""

import asyncio
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.campaigns.outcome import CampaignState, Outcome
from gateway.errors import NoSuchCampaign, WrongCampaignState
from gateway.store import SessionStore, open_store
from gateway.store.attempts import Claim
from gateway.store.campaign_records import AttemptEnd, CampaignLoad, CampaignRecord
from gateway.telemetry import Metrics
from media.encryption import EncryptionKey
from tests.gateway.test_store import NOON
from tests.store_databases import bytes_on_disk, url_of

pytestmark = pytest.mark.usefixtures("each_database")

KEY = EncryptionKey(bytes(range(32)))
RUNNING = CampaignState.RUNNING
_NAMES: Iterator[int] = itertools.count()


@dataclass(frozen=True)
class Listed:
    """A line of a list."""

    line: int
    number: str
    zone: str = "Europe/Berlin"
    metadata: dict[str, str] = field(default_factory=dict)


def opened(folder: Path, key: EncryptionKey | None = None) -> Any:
    return open_store(url_of(folder), folder, Metrics(), key)


async def add(store: SessionStore, contacts: list[Listed]) -> tuple[list[int], list[int]]:
    refused = await store.campaigns.add_contacts("c", contacts, NOON)
    await store.campaigns.release("c")
    return refused


async def campaign(store: SessionStore, contacts: int = 3, *, state: CampaignState = RUNNING) -> None:
    """Campaign `c` with contacts of lines 1 to so many."""
    await store.campaigns.add(CampaignRecord("c", "A campaign", CampaignState.DRAFT, "{}", NOON))
    listed = [Listed(line, f"+49301234{line:04}", metadata={"name": f"Name {line}"}) for line in range(1, contacts + 1)]
    await add(store, listed)
    if state is not CampaignState.DRAFT:
        await store.campaigns.move("c", state, NOON, allowed=[CampaignState.DRAFT])


async def claim(
    store: SessionStore,
    most: int = 10,
    *,
    node: str = "n1",
    now: datetime = NOON,
    gap_s: float = 0.0001,
    horizon_s: float = 1.0,
    closed: tuple[str, ...] = (),
) -> Claim:
    def wanted(load: CampaignLoad) -> int:
        return most - load.dialing - load.talking

    return await store.attempts.claim(
        "c",
        node,
        now,
        wanted,
        lambda zone: zone not in closed,
        lambda: f"call-{next(_NAMES)}",
        gap_s=gap_s,
        horizon_s=horizon_s,
    )


def ended(outcome: Outcome, **facts: Any) -> AttemptEnd:
    return AttemptEnd(outcome, NOON + timedelta(seconds=30), **facts)


@pytest.mark.parametrize("key", [None, KEY])
async def test_a_contact_is_claimed_once_and_settled_with_its_outcome(
    tmp_path: Path, key: EncryptionKey | None
) -> None:
    async with opened(tmp_path, key) as store:
        await campaign(store)
        first, second, third = (await claim(store)).attempts
        assert (first.number, first.metadata, first.index) == ("+493012340001", {"name": "Name 1"}, 1)
        assert (await claim(store, 20)).attempts == ()
        assert await store.attempts.answered(second, NOON + timedelta(seconds=5)) == 1
        assert await store.campaigns.dialing("c") == (2, 1)
        await store.attempts.end(second, ended(Outcome.TALKED, answered_at=NOON + timedelta(seconds=5), cost=0.25))
        await store.attempts.end(third, ended(Outcome.BUSY, next_at=NOON + timedelta(hours=1)))
        results = await store.attempts.results("c", 0, 10)
        assert [(one.sequence, one.line, one.outcome, one.attempts) for one in results] == [(1, 2, Outcome.TALKED, 1)]
        assert results[0].duration_s == 25.0
        assert await store.campaigns.outcomes("c") == {Outcome.TALKED: 1}
        sums = (await store.campaigns.get("c")).sums
        assert (sums.attempts, sums.answered, sums.people, sums.talked_s, sums.cost) == (2, 1, 1, 25.0, 0.25)
        assert (await claim(store)).attempts == ()
        (again,) = (await claim(store, now=NOON + timedelta(hours=1))).attempts
        assert (again.contact_id, again.index) == (third.contact_id, 2)
        assert [one.outcome for one in await store.attempts.past(third.contact_id)] == [Outcome.BUSY]
        assert not await store.attempts.end(second, ended(Outcome.BUSY)), "an end is told once"


async def test_no_two_gateways_claim_the_same_contact_and_the_slots_are_common(tmp_path: Path) -> None:
    async with opened(tmp_path) as store, opened(tmp_path) as other:
        await campaign(store, 60)
        claims = await asyncio.gather(
            *(claim(one, 60, node=node, gap_s=0.1) for _ in range(10) for one, node in ((store, "n1"), (other, "n2")))
        )
        attempts = [attempt for one in claims for attempt in one.attempts]
        assert len({one.contact_id for one in attempts}) == len(attempts) == 11, "one second has eleven slots"
        assert sorted(round(one.slot_at - NOON.timestamp(), 3) for one in attempts) == [i / 10 for i in range(11)]
        assert await store.campaigns.dialing("c") == (11, 0)


async def test_what_a_dead_gateway_has_left_is_unknown_and_never_dialled_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await campaign(store)
        (dead,) = (await claim(store, 1, node="dead")).attempts
        (living,) = (await claim(store, 2, node="n1")).attempts
        (other,) = (await claim(store, 3, node="n2")).attempts
        await store.attempts.beat("n2", NOON, NOON)  # n1 has not said so: it knows that it lives
        assert await store.attempts.recover("n1", NOON, NOON - timedelta(seconds=20)) == [dead.attempt_id]
        assert await store.attempts.recover("n1", NOON, NOON - timedelta(seconds=20)) == []
        (settled,) = await store.attempts.results("c", 0, 10)
        assert (settled.line, settled.outcome, settled.call_id) == (1, Outcome.UNKNOWN, dead.call_id)
        claimed = (await claim(store, now=NOON + timedelta(days=9))).attempts
        assert dead.contact_id not in [one.contact_id for one in claimed]
        assert not await store.attempts.end(dead, ended(Outcome.TALKED)), "it was taken for dead"
        assert await store.attempts.end(living, ended(Outcome.TALKED))
        assert await store.attempts.end(other, ended(Outcome.TALKED))


async def test_an_invite_that_missed_its_slot_gets_one_that_nobody_else_has(tmp_path: Path) -> None:
    async with opened(tmp_path) as store, opened(tmp_path) as other:
        await campaign(store, 3)
        (first,) = (await claim(store, 1, gap_s=0.5)).attempts
        late = NOON + timedelta(seconds=0.2)
        slots = [first.slot_at, *[await one.attempts.later_slot("c", late, 0.5) for one in (store, other, store)]]
        assert [round(slot - NOON.timestamp(), 3) for slot in slots] == [0.0, 0.5, 1.0, 1.5]
        assert await store.attempts.later_slot("c", NOON + timedelta(seconds=9), 0.5) == NOON.timestamp() + 9


async def test_a_claim_that_was_not_dialled_is_given_back_as_it_was(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await campaign(store, 1)
        (attempt,) = (await claim(store)).attempts
        await store.attempts.withdraw(attempt, NOON)
        (again,) = (await claim(store)).attempts
        assert (again.contact_id, again.index) == (attempt.contact_id, 1)


async def test_only_a_running_campaign_gives_out_contacts(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await campaign(store)
        await store.campaigns.move("c", CampaignState.PAUSED, NOON, allowed=[RUNNING])
        assert (await claim(store)).attempts == ()
        with pytest.raises(WrongCampaignState, match="paused"):
            await store.campaigns.move("c", CampaignState.PAUSED, NOON, allowed=[RUNNING])
        with pytest.raises(NoSuchCampaign):
            await store.campaigns.get("d")


async def test_contacts_of_a_closed_time_zone_wait_until_it_opens(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await campaign(store, 2)
        await add(store, [Listed(3, "+12125550100", "America/New_York")])
        got = await claim(store, closed=("Europe/Berlin",))
        assert [one.zone for one in got.attempts] == ["America/New_York"]
        assert got.closed_zones == {"Europe/Berlin"}
        opens = NOON + timedelta(hours=20)
        assert await store.campaigns.postpone("c", "Europe/Berlin", NOON, opens) == 2
        assert await store.campaigns.next_due("c") == opens
        assert (await claim(store)).attempts == ()
        assert len((await claim(store, now=opens)).attempts) == 2


async def test_who_is_on_a_list_already_or_not_to_be_called_is_not_added_or_not_dialled(tmp_path: Path) -> None:
    async with opened(tmp_path, KEY) as store:
        await store.do_not_call.add("+493012340001", NOON, "api")
        await campaign(store, 3)
        assert (await store.campaigns.get("c")).sums.contacts == 2
        more = [Listed(7, "+493012340002"), Listed(8, "+49309"), Listed(9, "+49309"), Listed(10, "+493012340001")]
        assert await add(store, more) == ([7, 9], [10])
        await store.do_not_call.add("+49309", NOON, "asked", "c")
        got = await claim(store)
        assert [one.number for one in got.attempts] == ["+493012340002", "+493012340003"]
        assert got.barred == 1
        (barred,) = await store.attempts.results("c", 0, 10)
        assert (barred.number, barred.outcome, barred.call_id) == ("+49309", Outcome.DO_NOT_CALL, None)
        assert await store.do_not_call.bars("+49309", "c")
        assert not await store.do_not_call.bars("+49309")
        assert [one.number for one in await store.do_not_call.listed()] == ["+493012340001", "+49309"]
        assert await store.do_not_call.remove("+49309", "c")
        assert not await store.do_not_call.remove("+49309", "c")
    assert b"4930" not in bytes_on_disk(tmp_path)


async def test_those_who_wait_are_settled_with_a_cancelled_campaign_and_it_can_be_removed(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await campaign(store)
        (attempt,) = (await claim(store, 1)).attempts
        with pytest.raises(WrongCampaignState, match="cancel it first"):
            await store.campaigns.remove("c")
        await store.campaigns.move("c", CampaignState.CANCELLED, NOON, allowed=[RUNNING], end_reason="cancelled")
        assert await store.campaigns.settle_waiting("c", Outcome.CANCELLED) == 2
        assert await store.campaigns.settle_waiting("c", Outcome.CANCELLED) == 0
        with pytest.raises(WrongCampaignState, match="still stand"):
            await store.campaigns.remove("c")
        await store.attempts.end(attempt, ended(Outcome.CANCELLED))
        assert [one.sequence for one in await store.attempts.results("c", 1, 10)] == [2, 3]
        assert await store.campaigns.outcomes("c") == {Outcome.CANCELLED: 3}
        await store.campaigns.remove("c")
        with pytest.raises(NoSuchCampaign):
            await store.campaigns.get("c")


async def test_a_conversation_is_settled_when_it_has_been_extracted_and_a_dead_gateways_can_be_made_up_for(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path, KEY) as store:
        await campaign(store, 1)
        (attempt,) = (await claim(store, node="dead")).attempts
        await store.attempts.end(attempt, ended(Outcome.TALKED, awaits_extraction=True))
        assert await store.attempts.results("c", 0, 10) == []
        assert await store.attempts.awaiting_extraction("n1", NOON) == [attempt.attempt_id]
        assert await store.attempts.extracted(attempt.attempt_id, {"date": "tomorrow", "sure": True})
        assert not await store.attempts.extracted(attempt.attempt_id, {})
        (result,) = await store.attempts.results("c", 0, 10)
        assert (result.outcome, result.disposition) == (Outcome.TALKED, {"date": "tomorrow", "sure": True})
        assert await store.attempts.record(attempt.attempt_id) == result
        assert await store.attempts.attempts("c", before=None, outcomes=[Outcome.BUSY], limit=5) == []
        assert len(await store.attempts.attempts("c", before=None, outcomes=[], limit=5)) == 1
    assert b"tomorrow" not in bytes_on_disk(tmp_path)


async def test_no_campaign_is_done_before_its_contacts_and_none_is_added_afterwards(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await campaign(store, 1)
        (attempt,) = (await claim(store)).attempts
        await store.campaigns.add_contacts("c", [Listed(9, "+4930999999")], NOON)
        with pytest.raises(WrongCampaignState, match="contacts were added"):
            await store.campaigns.move("c", CampaignState.DONE, NOON, allowed=[RUNNING])
        await store.attempts.end(attempt, ended(Outcome.TALKED))
        await store.campaigns.move("c", CampaignState.DONE, NOON, allowed=[RUNNING])
        with pytest.raises(WrongCampaignState, match="nobody can be added"):
            await store.campaigns.release("c")
        assert (await store.campaigns.get("c")).sums.contacts == 1


async def test_a_list_is_the_campaigns_when_it_has_been_read_to_its_end_and_not_before(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await campaign(store, 1)
        more = [Listed(2, "+4930222222"), Listed(3, "+4930333333")]
        await store.campaigns.add_contacts("c", more, NOON)
        assert len((await claim(store)).attempts) == 1
        assert (await store.campaigns.get("c")).sums.contacts == 1
        assert await store.campaigns.discard("c") == 2
        assert await add(store, more) == ([], []), "what was discarded is no duplicate"
        assert (await store.campaigns.get("c")).sums.contacts == 3
        assert len((await claim(store, now=NOON + timedelta(seconds=2))).attempts) == 2
