# SPDX-License-Identifier: GPL-3.0-or-later
"""Campaigns of a gateway: a list, a policy and an agent.

campaign = await parley.campaigns.create("reminders", policy)
report = await parley.campaigns.add_contacts(campaign.campaign_id, Path("list.csv").read_bytes())
await parley.campaigns.start(campaign.campaign_id)
"""

from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import BaseModel, Field

from gateway.client.http import HttpApi
from gateway.client.models import Model

ListKind = Literal["csv", "jsonl"]
ResultsKind = Literal["csv", "jsonl"]
OVER = frozenset({"done", "cancelled"})
"""States in which nothing happens any more."""

_CONTENT_TYPES: Mapping[ListKind, str] = {"csv": "text/csv", "jsonl": "application/x-ndjson"}


class CampaignProgress(Model):
    """How far it is."""

    contacts: int = 0
    waiting: int = 0
    dialing: int = 0
    talking: int = 0
    done: int = 0
    outcomes: dict[str, int] = Field(default={})
    """Of the contacts that are done."""
    attempts: int = 0
    answered: int = 0
    people: int = 0
    abandoned: int = 0
    cost: float = 0.0
    answer_rate: float | None = None
    contact_rate: float | None = None
    eta_s: float | None = None
    next_at: datetime | None = None
    """When somebody may be called next, while nobody is."""


class Campaign(Model):
    """One campaign."""

    campaign_id: str
    name: str
    state: str
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    end_reason: str | None = None
    policy: dict[str, Any] = Field(default={})
    progress: CampaignProgress = CampaignProgress()


class ListProblem(Model):
    """A line that nobody is called for, and why."""

    line: int
    column: str | None = None
    problem: str


class ListReport(Model):
    """What became of a list."""

    rows: int
    accepted: int
    causes: dict[str, int] = Field(default={})
    """How many lines were left out for which cause."""
    problems: tuple[ListProblem, ...] = ()
    """The first of them."""


class DoNotCallEntry(Model):
    """A number that is not called."""

    number: str
    campaign_id: str | None = None
    """Null: by no campaign."""
    added_at: datetime | None = None
    cause: str = ""


class _Order(BaseModel):
    name: str
    policy: dict[str, Any]


class _Listing(Model):
    campaigns: tuple[Campaign, ...]


class _Number(BaseModel):
    number: str
    campaign_id: str | None = None


class _Numbers(Model):
    entries: tuple[DoNotCallEntry, ...]


class Campaigns:
    """Part of `ParleyClient`, with its errors."""

    def __init__(self, http: HttpApi) -> None:
        self._http = http

    async def create(self, name: str, policy: Mapping[str, Any]) -> Campaign:
        """A draft: nobody is called before `start`."""
        return await self._http.post("/campaigns", _Order(name=name, policy=dict(policy)), Campaign)

    async def listed(self) -> tuple[Campaign, ...]:
        """All of them, newest first."""
        return (await self._http.get("/campaigns", _Listing)).campaigns

    async def get(self, campaign_id: str) -> Campaign:
        """One, as it stands now."""
        return await self._http.get(_of(campaign_id), Campaign)

    async def add_contacts(
        self, campaign_id: str, content: bytes | AsyncIterable[bytes], kind: ListKind = "csv"
    ) -> ListReport:
        """Add people to call, from a list of any size; returns when all of it was read."""
        return await self._http.upload(f"{_of(campaign_id)}/contacts", content, _CONTENT_TYPES[kind], ListReport)

    async def start(self, campaign_id: str) -> Campaign:
        """Call them, when the policy allows."""
        return await self._do(campaign_id, "start")

    async def pause(self, campaign_id: str) -> Campaign:
        """No new calls; those that stand go on."""
        return await self._do(campaign_id, "pause")

    async def resume(self, campaign_id: str) -> Campaign:
        """Go on after `pause`."""
        return await self._do(campaign_id, "resume")

    async def drain(self, campaign_id: str) -> Campaign:
        """No new calls, ever; it is over when those that stand are."""
        return await self._do(campaign_id, "drain")

    async def cancel(self, campaign_id: str) -> Campaign:
        """It is over at once; calls that ring are ended."""
        return await self._do(campaign_id, "cancel")

    async def remove(self, campaign_id: str) -> None:
        """Erase a draft, or a campaign that is over."""
        await self._http.request("DELETE", _of(campaign_id))

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

    async def do_not_call(self) -> tuple[DoNotCallEntry, ...]:
        """Everybody who is not."""
        return (await self._http.get("/do-not-call", _Numbers)).entries

    async def add_do_not_call(self, number: str, campaign_id: str | None = None) -> None:
        """By no campaign, or not by this one."""
        await self._http.request("POST", "/do-not-call", _Number(number=number, campaign_id=campaign_id))

    async def remove_do_not_call(self, number: str, campaign_id: str | None = None) -> None:
        """They may be called again."""
        parameters = None if campaign_id is None else {"campaign_id": campaign_id}
        await self._http.request("DELETE", f"/do-not-call/{quote(number, safe='')}", parameters=parameters)

    async def _do(self, campaign_id: str, verb: str) -> Campaign:
        return await self._http.post(f"{_of(campaign_id)}/{verb}", None, Campaign)


def _of(campaign_id: str) -> str:
    return f"/campaigns/{quote(campaign_id, safe='')}"
