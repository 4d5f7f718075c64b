# SPDX-License-Identifier: GPL-3.0-or-later
"""`GET /work`: what takes a while, and how far it is."""

from dataclasses import asdict

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from gateway.api.problems import problem_responses
from gateway.api.reach import reach_of
from gateway.work import WorkBoard, WorkKind, WorkState

_OF_AGENTS = ("knowledge", "phrases")


class WorkInfo(BaseModel):
    """Something that takes a while."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    kind: WorkKind
    """knowledge: an agent's documents are indexed. campaign_list: a list is read into a campaign. phrases: what an
    agent says is rendered ahead. engines: the offline models are loaded."""
    name: str
    """Of the agent, or the campaign's id."""
    done: int
    total: int | None
    """Null: nobody can tell, or not yet."""
    unit: str
    """What is counted: `passages`, `bytes`, `sentences` or `models`."""
    state: WorkState
    detail: str
    """More in words; of what has failed, why."""


class WorkList(BaseModel):
    """Work that is under way, then the last twenty that ended."""

    work: list[WorkInfo]


def work_router(board: WorkBoard) -> APIRouter:
    """The route over this board."""
    router = APIRouter(prefix="/work", tags=["console"], responses=problem_responses(401))

    @router.get("")
    async def list_work(request: Request) -> WorkList:
        """What is under way, the newest first, and what was over last; the feed tells `work.progress`."""
        covers = reach_of(request).covers_agent
        listed = [facts for facts in board.listed() if covers(facts.name if facts.kind in _OF_AGENTS else None)]
        return WorkList(work=[WorkInfo.model_validate(asdict(facts)) for facts in listed])

    return router
