# SPDX-License-Identifier: GPL-3.0-or-later
"""`/campaigns` and `/do-not-call`: lists and policies in, calls started and stopped, results out."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from gateway.api.fence import owner_by
from gateway.api.orders import Body
from gateway.api.problems import problem_response, problem_responses
from gateway.api.reach import Reach, reach_of
from gateway.campaigns.attempt import AttemptRecord, Extracted
from gateway.campaigns.control import Campaigns
from gateway.campaigns.importing import ListReport
from gateway.campaigns.outcome import CampaignState, Outcome
from gateway.campaigns.policy import Policy
from gateway.campaigns.report import campaign_report
from gateway.campaigns.results import CSV_TYPE, JSONL_TYPE, csv_header, csv_row, json_row
from gateway.campaigns.runner import Runner
from gateway.errors import BadAddress, NoSuchCampaign
from gateway.store.campaign_records import CampaignRecord

CampaignId = Annotated[str, Path(max_length=64)]
_PAGE = 500
_MOST_ROWS = 1_000
_LIST_TYPES: dict[str, Literal["csv", "jsonl"]] = {
    "text/csv": "csv",
    "application/x-ndjson": "jsonl",
    "application/jsonl": "jsonl",
}


class CreateCampaign(Body):
    """A campaign to make, as a draft."""

    name: Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]
    policy: Policy = Policy()


class CancelCampaign(Body):
    """How to end a campaign."""

    hang_up: StrictBool = False
    """Hang up on those who talk, too."""


class ContactRows(Body):
    """A few contacts, each with its columns by name."""

    contacts: Annotated[
        list[Annotated[dict[str, str | int | float | bool | None], Field(max_length=40)]],
        Field(min_length=1, max_length=_MOST_ROWS),
    ]


class CampaignProgress(BaseModel):
    """How far a campaign is."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    contacts: int
    waiting: int
    dialing: int
    """Calls that are not answered yet."""
    talking: int
    """Calls that are."""
    done: int
    outcomes: dict[Outcome, int]
    """Contacts that are done, by outcome."""
    attempts: int
    answered: int
    """Attempts that anything answered."""
    people: int
    """Attempts that a person answered."""
    abandoned: int
    answer_rate: float | None
    """Share of the attempts that anything answered; null: there were none."""
    contact_rate: float | None
    """Share of the attempts that a person answered."""
    talked_s: float
    cost: float
    eta_s: float | None
    """Seconds left, at the pace so far; null: nobody can tell."""
    next_at: datetime | None
    """When the first of those who wait is due; null: nobody waits."""


class CampaignInfo(BaseModel):
    """A campaign."""

    campaign_id: str
    name: str
    state: CampaignState
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    end_reason: str | None
    """`completed`, `cancelled`, `drained`, `until` or `budget`."""
    policy: Policy
    progress: CampaignProgress


class CampaignList(BaseModel):
    """Campaigns, newest first."""

    campaigns: list[CampaignInfo]


class AttemptInfo(BaseModel):
    """An attempt at a contact."""

    attempt_id: str
    line: int
    number: str
    metadata: dict[str, str]
    index: int
    """The contact's how many-th."""
    outcome: Outcome | None
    """Null: it is not over."""
    call_id: str
    started_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    far_end: str | None
    far_end_confidence: float | None
    sip_code: int | None
    end_reason: str | None
    disposition: dict[str, Extracted]
    response_ms: list[float]
    cost: float


class AttemptPage(BaseModel):
    """Attempts, newest first."""

    attempts: list[AttemptInfo]
    next: str | None = None
    """Ask again with this as `before` for older ones; null: there are none."""


class BarNumber(Body):
    """A number that is not to be called."""

    number: Annotated[str, Field(min_length=1, max_length=256)]
    """With its country code, or a SIP URI."""
    campaign_id: Annotated[str | None, Field(max_length=64)] = None
    """By this campaign only; null: by none."""


class BarredNumber(BaseModel):
    """A number that is not called."""

    number: str
    campaign_id: str | None
    added_at: datetime | None = None
    cause: Literal["api", "asked"]
    """asked: the person said so in a call."""


class BarredPage(BaseModel):
    """Numbers, oldest first."""

    numbers: list[BarredNumber]
    next: int | None = None
    """Ask again with this as `after` for more; null: there are none."""


def campaigns_router(campaigns: Campaigns, runner: Runner) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/campaigns", tags=["campaigns"], responses=problem_responses(401, 422, 503))

    async def info(campaign: CampaignRecord) -> CampaignInfo:
        progress = await campaigns.progress(campaign)
        return CampaignInfo(
            campaign_id=campaign.campaign_id,
            name=campaign.name,
            state=campaign.state,
            created_at=campaign.created_at,
            started_at=campaign.started_at,
            ended_at=campaign.ended_at,
            end_reason=campaign.end_reason,
            policy=Policy.model_validate_json(campaign.policy),
            progress=CampaignProgress(
                contacts=progress.contacts,
                waiting=progress.waiting,
                dialing=progress.dialing,
                talking=progress.talking,
                done=progress.done,
                outcomes=dict(progress.outcomes),
                attempts=progress.attempts,
                answered=progress.answered,
                people=progress.people,
                abandoned=progress.abandoned,
                answer_rate=_share(progress.answered, progress.attempts),
                contact_rate=_share(progress.people, progress.attempts),
                talked_s=round(progress.talked_s, 3),
                cost=round(progress.cost, 6),
                eta_s=progress.eta_s,
                next_at=progress.next_at,
            ),
        )

    @router.post("", status_code=201)
    async def create_campaign(order: CreateCampaign, request: Request) -> CampaignInfo:
        """A draft: add contacts, then start it."""
        reach = reach_of(request)
        within = {
            "agent": reach.agent_for(order.policy.agent),
            "trunk": reach.trunk_for(order.policy.trunk),
            "metadata": reach.metadata_for(order.policy.metadata),
        }
        return await info(await campaigns.create(order.name, order.policy.model_copy(update=within)))

    @router.get("")
    async def list_campaigns(request: Request) -> CampaignList:
        """All, newest first."""
        reach = reach_of(request)
        listed = [one for one in await campaigns.listed() if reach.covers(owner_by(one))]
        return CampaignList(campaigns=[await info(one) for one in listed])

    @router.get("/{campaign_id}", responses=problem_responses(404))
    async def get_campaign(campaign_id: CampaignId) -> CampaignInfo:
        """One, and how far it is."""
        return await info(await campaigns.get(campaign_id))

    @router.delete("/{campaign_id}", status_code=204, response_model=None, responses=problem_responses(404, 409))
    async def remove_campaign(campaign_id: CampaignId) -> Response:
        """Erase a draft, or a campaign that is over, with its contacts and attempts. Sessions stay."""
        await campaigns.remove(campaign_id)
        return Response(status_code=204)

    @router.post(
        "/{campaign_id}/contacts",
        responses=problem_responses(400, 404, 409, 415),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "text/csv": {"schema": {"type": "string"}},
                    "application/x-ndjson": {"schema": {"type": "string"}},
                    "application/json": {"schema": ContactRows.model_json_schema()},
                },
            }
        },
    )
    async def add_contacts(campaign_id: CampaignId, request: Request) -> ListReport:
        """A list: CSV whose first line names the columns, or JSON lines, of any length; or up to 1,000 contacts as
        JSON. Answers when all of it has been read; until then nobody on it is called."""
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type in _LIST_TYPES:
            size = request.headers.get("content-length", "")
            size_bytes = int(size) if size.isascii() and size.isdecimal() else None
            return await campaigns.add_stream(campaign_id, _LIST_TYPES[media_type], request.stream(), size_bytes)
        if media_type != "application/json":
            raise HTTPException(415, "a list is text/csv, application/x-ndjson or application/json")
        rows = await _rows(request)
        return await campaigns.add_rows(campaign_id, rows)

    @router.post("/{campaign_id}/start", responses=problem_responses(404, 409))
    async def start_campaign(campaign_id: CampaignId) -> CampaignInfo:
        """Begin to call, or go on."""
        return await info(await runner.start(campaign_id))

    @router.post("/{campaign_id}/resume", responses=problem_responses(404, 409))
    async def resume_campaign(campaign_id: CampaignId) -> CampaignInfo:
        """Go on."""
        return await info(await runner.start(campaign_id))

    @router.post("/{campaign_id}/pause", responses=problem_responses(404, 409))
    async def pause_campaign(campaign_id: CampaignId) -> CampaignInfo:
        """No new calls for now; those that stand go on."""
        return await info(await runner.pause(campaign_id))

    @router.post("/{campaign_id}/drain", responses=problem_responses(404, 409))
    async def drain_campaign(campaign_id: CampaignId) -> CampaignInfo:
        """No new calls, ever; it is over when those that stand are."""
        return await info(await runner.drain(campaign_id))

    @router.post("/{campaign_id}/cancel", responses=problem_responses(404, 409))
    async def cancel_campaign(campaign_id: CampaignId, order: CancelCampaign | None = None) -> CampaignInfo:
        """No new calls, and those that ring are ended at once; those who talk may finish."""
        return await info(await runner.cancel(campaign_id, hang_up=order is not None and order.hang_up))

    @router.get("/{campaign_id}/attempts", responses=problem_responses(404))
    async def list_attempts(
        campaign_id: CampaignId,
        limit: Annotated[int, Query(ge=1, le=_PAGE)] = 100,
        before: Annotated[str | None, Query(max_length=64)] = None,
        outcome: Annotated[list[Outcome] | None, Query()] = None,
    ) -> AttemptPage:
        """Single attempts, newest first."""
        found = await campaigns.attempts(campaign_id, before=before, outcomes=outcome or (), limit=limit)
        page = [_attempt(one) for one in found]
        return AttemptPage(attempts=page, next=page[-1].attempt_id if len(page) == limit else None)

    @router.get(
        "/{campaign_id}/results",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "A row for each contact that is done.",
                "content": {kind: {"schema": {"type": "string"}} for kind in (CSV_TYPE, JSONL_TYPE)},
            },
            **problem_responses(404),
        },
    )
    async def get_results(
        campaign_id: CampaignId,
        format: Annotated[Literal["csv", "jsonl"], Query()] = "csv",
        after: Annotated[int, Query(ge=0, le=1 << 53)] = 0,
    ) -> StreamingResponse:
        """Contacts that are done, in the order in which they became so; `after`: those that follow the row of this
        `sequence`."""
        campaign = await campaigns.get(campaign_id)
        policy = Policy.model_validate_json(campaign.policy)
        if format == "jsonl":
            return StreamingResponse(json_rows(campaigns, campaign_id, after), media_type=JSONL_TYPE)
        return StreamingResponse(csv_rows(campaigns, campaign_id, policy, after), media_type=CSV_TYPE)

    @router.get("/{campaign_id}/report", response_class=HTMLResponse, responses=problem_responses(404))
    async def get_report(campaign_id: CampaignId) -> HTMLResponse:
        """What came of it, as one page with plots."""
        campaign = await campaigns.get(campaign_id)
        progress = await campaigns.progress(campaign)
        records = [record async for page in pages(campaigns, campaign_id, 0) for record in page]
        return HTMLResponse(campaign_report(campaign, progress, records))

    return router


def do_not_call_router(campaigns: Campaigns) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/do-not-call", tags=["campaigns"], responses=problem_responses(401, 422, 503))

    @router.post("", status_code=201, responses=problem_responses(404))
    async def bar_number(order: BarNumber, request: Request) -> BarredNumber:
        """From now on this number is not called. Again is as good as once."""
        reach = reach_of(request)
        if not order.campaign_id:
            reach.refuse_others("bar the number for a campaign of theirs")
        elif not await reaches(reach, order.campaign_id):
            raise NoSuchCampaign(order.campaign_id)
        number = await campaigns.bar(order.number, "api", order.campaign_id or "")
        return BarredNumber(number=number, campaign_id=order.campaign_id, cause="api")

    @router.get("")
    async def list_barred(
        request: Request,
        after: Annotated[int, Query(ge=0, le=1 << 31)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> BarredPage:
        """Numbers that are not called, oldest first."""
        found = await campaigns.barred(after, limit)
        is_full = len(found) == limit
        reach = reach_of(request)
        known = {one.campaign_id: await reaches(reach, one.campaign_id) for one in found} if reach.is_limited else {}
        numbers = [
            BarredNumber.model_validate(
                {
                    "number": one.number,
                    "campaign_id": one.campaign_id or None,
                    "added_at": one.added_at,
                    "cause": one.cause,
                }
            )
            for one in found
            if known.get(one.campaign_id, True)
        ]
        return BarredPage(numbers=numbers, next=after + limit if is_full else None)

    async def reaches(reach: Reach, campaign_id: str) -> bool:
        """Entries that hold for all campaigns are nobody's who is limited."""
        if not reach.is_limited:
            return True
        try:
            return bool(campaign_id) and reach.covers(owner_by(await campaigns.get(campaign_id)))
        except NoSuchCampaign:
            return False

    @router.delete("/{number}", status_code=204, response_model=None, responses=problem_responses(404))
    async def unbar_number(
        request: Request,
        number: Annotated[str, Path(max_length=256)],
        campaign_id: Annotated[str, Query(max_length=64)] = "",
    ) -> Response:
        """It may be called again."""
        try:
            is_gone = await reaches(reach_of(request), campaign_id) and await campaigns.unbar(number, campaign_id)
        except BadAddress:
            is_gone = False
        if not is_gone:
            return problem_response(404, "the number is not on the list")
        return Response(status_code=204)

    return router


async def pages(campaigns: Campaigns, campaign_id: str, after: int) -> AsyncIterator[list[AttemptRecord]]:
    """Contacts that are done, some at a time."""
    while page := await campaigns.results(campaign_id, after, _PAGE):
        yield page
        after = page[-1].sequence or after


async def csv_rows(campaigns: Campaigns, campaign_id: str, policy: Policy, after: int) -> AsyncIterator[str]:
    """The results; of the list's columns those of the contact that was done first."""
    first = await campaigns.results(campaign_id, 0, 1)
    columns = tuple(first[0].metadata) if first else ()
    if after == 0:
        yield csv_header(policy, columns)
    async for page in pages(campaigns, campaign_id, after):
        yield "".join(csv_row(policy, columns, one) for one in page)


async def json_rows(campaigns: Campaigns, campaign_id: str, after: int) -> AsyncIterator[str]:
    """The results."""
    async for page in pages(campaigns, campaign_id, after):
        yield "".join(json_row(one) for one in page)


async def _rows(request: Request) -> list[dict[str, str]]:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > 1 << 20:
            raise HTTPException(413, "more than a megabyte: send it as text/csv or application/x-ndjson")
    try:
        order = ContactRows.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in ("body", *first["loc"]))
        raise HTTPException(422, f"{place}: {first['msg']}") from error
    return [{name: _said(value) for name, value in row.items()} for row in order.contacts]


def _said(value: str | int | float | bool | None) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value).strip()


def _share(part: int, whole: int) -> float | None:
    return None if whole == 0 else round(part / whole, 4)


def _attempt(record: AttemptRecord) -> AttemptInfo:
    assert record.attempt_id is not None
    assert record.call_id is not None
    assert record.started_at is not None
    return AttemptInfo(
        attempt_id=record.attempt_id,
        line=record.line,
        number=record.number,
        metadata=dict(record.metadata),
        index=record.index or 0,
        outcome=record.outcome,
        call_id=record.call_id,
        started_at=record.started_at,
        answered_at=record.answered_at,
        ended_at=record.ended_at,
        far_end=record.far_end,
        far_end_confidence=record.far_end_confidence,
        sip_code=record.sip_code,
        end_reason=record.end_reason,
        disposition=dict(record.disposition),
        response_ms=list(record.response_ms),
        cost=record.cost,
    )
