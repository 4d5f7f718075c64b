# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API may do with campaigns, but for what the runner does (start, pause, drain, cancel)."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from uuid import uuid4

from gateway.campaigns.attempt import AttemptRecord
from gateway.campaigns.importing import ImportOrder, ListReport, add_list
from gateway.campaigns.lists import ListKind, contact_of
from gateway.campaigns.numbers import normalised
from gateway.campaigns.outcome import CampaignState, Outcome
from gateway.campaigns.policy import Policy
from gateway.campaigns.progress import Progress, eta_s
from gateway.errors import ListUnreadable, StoreError, WrongCampaignState
from gateway.store import SessionStore
from gateway.store.campaign_records import CampaignRecord, DoNotCallEntry
from gateway.work import Work, WorkBoard

_ROWS = re.compile(rb'\{"rows": (\d+)\}')


class Campaigns:
    """One for the process."""

    def __init__(self, store: SessionStore, database_url: str, board: WorkBoard) -> None:
        """`board`: has how far the lists are that are being read."""
        self._store = store
        self._database_url = database_url
        self._board = board
        self._importing: dict[str, asyncio.Lock] = {}

    async def create(self, name: str, policy: Policy) -> CampaignRecord:
        """A draft. Raises `StoreError`; so do all."""
        campaign = CampaignRecord(
            f"campaign_{uuid4().hex[:20]}",
            name,
            CampaignState.DRAFT,
            policy.model_dump_json(by_alias=True),
            datetime.now(UTC),
        )
        await self._store.campaigns.add(campaign)
        return campaign

    async def get(self, campaign_id: str) -> CampaignRecord:
        """Raises `NoSuchCampaign`."""
        return await self._store.campaigns.get(campaign_id)

    async def listed(self) -> list[CampaignRecord]:
        """Newest first."""
        return await self._store.campaigns.listed()

    async def remove(self, campaign_id: str) -> None:
        """With its contacts and attempts; sessions stay. Raises `NoSuchCampaign`, `WrongCampaignState`."""
        await self._store.campaigns.remove(campaign_id)

    async def progress(self, campaign: CampaignRecord) -> Progress:
        """How far it is."""
        load = await self._store.attempts.load(campaign.campaign_id)
        outcomes = await self._store.campaigns.outcomes(campaign.campaign_id)
        sums = load.sums
        waiting = max(0, sums.contacts - sums.settled - load.dialing - load.talking)
        return Progress(
            contacts=sums.contacts,
            waiting=waiting,
            dialing=load.dialing,
            talking=load.talking,
            done=sums.settled,
            outcomes=outcomes,
            attempts=sums.attempts,
            answered=sums.answered,
            people=sums.people,
            abandoned=sums.abandoned,
            talked_s=sums.talked_s,
            cost=sums.cost,
            eta_s=eta_s(campaign, sums.settled, sums.contacts, datetime.now(UTC)),
            next_at=await self._store.campaigns.next_due(campaign.campaign_id) if waiting else None,
        )

    # Contacts

    async def add_rows(self, campaign_id: str, rows: Sequence[Mapping[str, str]]) -> ListReport:
        """A few contacts, columns by name. Raises `NoSuchCampaign`, `WrongCampaignState`."""
        policy = Policy.model_validate_json((await self.get(campaign_id)).policy)
        async with self._alone(campaign_id):
            found = (contact_of(line, row, policy) for line, row in enumerate(rows, 1))
            return await add_list(found, campaign_id, policy, self._store.campaigns)

    async def add_stream(
        self, campaign_id: str, kind: ListKind, body: AsyncIterator[bytes], size_bytes: int | None = None
    ) -> ListReport:
        """A list of any length, read by a process of its own (`gateway.campaigns.importing`). `size_bytes`: None: it is
        not known before. Raises `ListUnreadable`, `NoSuchCampaign`, `WrongCampaignState`."""
        policy = Policy.model_validate_json((await self.get(campaign_id)).policy)
        key = self._store.key
        order = ImportOrder(
            database_url=self._database_url,
            key=None if key is None else key.to_text(),
            campaign_id=campaign_id,
            kind=kind,
            policy=policy,
        )
        async with self._alone(campaign_id):
            with self._board.working("campaign_list", campaign_id, "bytes", size_bytes) as work:
                return _report(await self._read_apart(order, body, work))

    async def _read_apart(self, order: ImportOrder, body: AsyncIterator[bytes], work: Work) -> bytes:
        """The process's last word."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.campaigns.importing",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            said, _ = await asyncio.gather(_last_line(process, work), _feed(process, order, body, work))
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return said

    def _alone(self, campaign_id: str) -> asyncio.Lock:
        lock = self._importing.setdefault(campaign_id, asyncio.Lock())
        if lock.locked():
            raise WrongCampaignState("another list is being read into this campaign")
        return lock

    # Results

    async def results(self, campaign_id: str, after: int, limit: int) -> list[AttemptRecord]:
        """As `AttemptRows.results`, with all that is known."""
        await self._store.flush()
        return await self._store.attempts.results(campaign_id, after, limit)

    async def attempts(
        self, campaign_id: str, *, before: str | None, outcomes: Sequence[Outcome], limit: int
    ) -> list[AttemptRecord]:
        """As `AttemptRows.attempts`. Raises `NoSuchCampaign`."""
        await self.get(campaign_id)
        await self._store.flush()
        return await self._store.attempts.attempts(campaign_id, before=before, outcomes=outcomes, limit=limit)

    # Who is not to be called

    async def bar(self, number: str, cause: str, campaign_id: str = "") -> str:
        """By this campaign, or by any; the number as it is kept. Raises `BadAddress`, `NoSuchCampaign`."""
        if campaign_id:
            await self.get(campaign_id)
        kept = normalised(number, None)
        await self._store.do_not_call.add(kept, datetime.now(UTC), cause, campaign_id)
        await self._store.audit("do_not_call_added", campaign_id or "all")
        return kept

    async def unbar(self, number: str, campaign_id: str = "") -> bool:
        """False: it was not on the list. Raises `BadAddress`."""
        is_gone = await self._store.do_not_call.remove(normalised(number, None), campaign_id)
        if is_gone:
            await self._store.audit("do_not_call_removed", campaign_id or "all")
        return is_gone

    async def barred(self, after: int, limit: int) -> list[DoNotCallEntry]:
        """Oldest first, without the first `after`."""
        return await self._store.do_not_call.listed(after=after, limit=limit)


async def _feed(
    process: asyncio.subprocess.Process, order: ImportOrder, body: AsyncIterator[bytes], work: Work
) -> None:
    assert process.stdin is not None
    sent = 0
    try:
        process.stdin.write(order.model_dump_json(by_alias=True).encode() + b"\n")
        async for piece in body:
            process.stdin.write(piece)
            await process.stdin.drain()
            sent += len(piece)
            work.update(sent)
        process.stdin.close()
    except (BrokenPipeError, ConnectionResetError):  # it has read enough to know that it is no list
        async for _ in body:
            pass


async def _last_line(process: asyncio.subprocess.Process, work: Work) -> bytes:
    """All that it says before are the rows it has read."""
    assert process.stdout is not None
    last = b""
    buffer = b""
    while piece := await process.stdout.read(1 << 16):
        buffer += piece
        *lines, buffer = buffer.split(b"\n")
        if lines:
            last = lines[-1]
            work.update(work.facts.done, detail=_rows_text(last))
    return last


def _rows_text(said: bytes) -> str | None:
    """None: it is something else."""
    found = _ROWS.fullmatch(said)
    return f"{int(found[1]):,} rows" if found else None


def _report(said: bytes) -> ListReport:
    try:
        answer = json.loads(said)
    except ValueError as error:
        raise StoreError("the process that read the list died; none of it was added") from error
    match answer:
        case {"report": report}:
            return ListReport.model_validate(report)
        case {"unreadable": reason, "kind": "ListUnreadable"}:
            raise ListUnreadable(str(reason))
        case {"unreadable": reason}:
            raise WrongCampaignState(str(reason))
        case {"failed": reason}:
            raise StoreError(str(reason))
    raise StoreError("the process that read the list died; none of it was added")
