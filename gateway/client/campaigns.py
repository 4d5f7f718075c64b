# SPDX-License-Identifier: GPL-3.0-or-later
"""Campaigns of a gateway: a list, a policy and an agent.

campaign = await parley.campaigns.create("reminders", policy)
report = await parley.campaigns.add_contacts(campaign.campaign_id, Path("list.csv").read_bytes())
await parley.campaigns.start(campaign.campaign_id)
"""

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel

from gateway.client.http import HttpApi
from gateway.client.models import (
    AttemptPage,
    BarNumber,
    BarredNumber,
    BarredPage,
    CampaignInfo,
    CampaignList,
    CancelCampaign,
    ListReport,
    Outcome,
)

ListKind = Literal["csv", "jsonl"]
ResultsKind = Literal["csv", "jsonl"]
OVER = frozenset({"done", "cancelled"})
"""States in which nothing happens any more."""
_PAGE = 1000

_CONTENT_TYPES: Mapping[ListKind, str] = {"csv": "text/csv", "jsonl": "application/x-ndjson"}


class _Draft(BaseModel):
    """`CreateCampaign`, with the policy as it was given: what is left out is the gateway's to choose."""

    name: str
    policy: dict[str, Any]


class Campaigns:
    """Part of `ParleyClient`, with its errors."""

    def __init__(self, http: HttpApi) -> None:
        self._http = http

    async def create(self, name: str, policy: Mapping[str, Any]) -> CampaignInfo:
        """A draft: nobody is called before `start`."""
        return await self._http.post("/campaigns", _Draft(name=name, policy=dict(policy)), CampaignInfo)

    async def listed(self) -> tuple[CampaignInfo, ...]:
        """All of them, newest first."""
        return (await self._http.get("/campaigns", CampaignList)).campaigns

    async def get(self, campaign_id: str) -> CampaignInfo:
        """One, as it stands now."""
        return await self._http.get(_of(campaign_id), CampaignInfo)

    async def add_contacts(
        self, campaign_id: str, content: bytes | AsyncIterable[bytes], kind: ListKind = "csv"
    ) -> ListReport:
        """Add people to call, from a list of any size; returns when all of it was read."""
        return await self._http.upload(f"{_of(campaign_id)}/contacts", content, _CONTENT_TYPES[kind], ListReport)

    async def start(self, campaign_id: str) -> CampaignInfo:
        """Call them, when the policy allows."""
        return await self._do(campaign_id, "start")

    async def pause(self, campaign_id: str) -> CampaignInfo:
        """No new calls; those that stand go on."""
        return await self._do(campaign_id, "pause")

    async def resume(self, campaign_id: str) -> CampaignInfo:
        """Go on after `pause`."""
        return await self._do(campaign_id, "resume")

    async def drain(self, campaign_id: str) -> CampaignInfo:
        """No new calls, ever; it is over when those that stand are."""
        return await self._do(campaign_id, "drain")

    async def cancel(self, campaign_id: str, *, hang_up: bool = False) -> CampaignInfo:
        """It is over, calls that ring are ended at once, and who talks may finish; `hang_up`: not even that."""
        order = CancelCampaign(hang_up=hang_up)
        return await self._http.post(f"{_of(campaign_id)}/cancel", order, CampaignInfo)

    async def remove(self, campaign_id: str) -> None:
        """Erase a draft, or a campaign that is over."""
        await self._http.request("DELETE", _of(campaign_id))

    async def attempts(
        self, campaign_id: str, *, limit: int = 100, before: str | None = None, outcomes: Sequence[Outcome] = ()
    ) -> AttemptPage:
        """Single attempts, newest first; `before=page.next` for older ones."""
        parameters: dict[str, str | Sequence[str]] = {"limit": str(limit), "outcome": list(outcomes)}
        if before is not None:
            parameters["before"] = before
        return await self._http.get(f"{_of(campaign_id)}/attempts", AttemptPage, parameters)

    def results(
        self, campaign_id: str, kind: ResultsKind = "csv", *, after: int = 0
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Rows of the contacts that are done, one after the other in the order in which they were; `after`: as many
        were read before. With `async with`, then `async for`."""
        return self._http.stream(f"{_of(campaign_id)}/results", {"format": kind, "after": str(after)})

    async def save_report(self, campaign_id: str, file: Path) -> None:
        """Write the report to a file: HTML."""
        await self._http.save(f"{_of(campaign_id)}/report", file)

    # Who is not to be called

    async def do_not_call(self) -> AsyncIterator[BarredNumber]:
        """Everybody who is not, oldest first; asks for more when they are wanted."""
        after: int | None = 0
        while after is not None:
            parameters = {"after": str(after), "limit": str(_PAGE)}
            page = await self._http.get("/do-not-call", BarredPage, parameters)
            for one in page.numbers:
                yield one
            after = page.next

    async def add_do_not_call(self, number: str, campaign_id: str | None = None) -> None:
        """By no campaign, or not by this one."""
        await self._http.request("POST", "/do-not-call", BarNumber(number=number, campaign_id=campaign_id))

    async def remove_do_not_call(self, number: str, campaign_id: str | None = None) -> None:
        """They may be called again."""
        parameters = None if campaign_id is None else {"campaign_id": campaign_id}
        await self._http.request("DELETE", f"/do-not-call/{quote(number, safe='')}", parameters=parameters)

    async def _do(self, campaign_id: str, verb: str) -> CampaignInfo:
        return await self._http.post(f"{_of(campaign_id)}/{verb}", None, CampaignInfo)


def _of(campaign_id: str) -> str:
    return f"/campaigns/{quote(campaign_id, safe='')}"
