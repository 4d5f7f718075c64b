# SPDX-License-Identifier: GPL-3.0-or-later
"""`/agents`: what agents are told to be, to read, to change, and to take back."""

from datetime import datetime
from typing import Annotated, Protocol

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field
from starlette.requests import Request

from gateway.agent_desk import AgentDesk
from gateway.api.numbers import JSON_NUMBER
from gateway.api.orders import Body
from gateway.api.problems import problem_responses
from gateway.api.reach import reach_of
from gateway.store.agent_versions import AgentVersion

_AgentName = Annotated[str, Path(max_length=64)]
_Number = Annotated[int, Path(ge=0, le=1_000_000)]
_MOST_TEXT = 40_000
_NoteText = Annotated[str, Field(max_length=_MOST_TEXT)]


class AgentSummary(BaseModel):
    """An agent, in short."""

    name: str
    stt: str
    llm: str
    tts: str
    voice: str | None
    language: str
    realtime: str
    """`off`, or the speech-to-speech service in place of the others."""
    version: int
    """0: as configured."""
    edited_at: datetime | None


class AgentList(BaseModel):
    agents: list[AgentSummary]


class AgentInfo(AgentSummary):
    """An agent as its next call will have it."""

    prompt: str
    greeting: str
    notes: dict[str, str]
    """Documents of its knowledge that were written here, by file name."""
    documents: list[str]
    """All that it answers from, notes included."""
    note: str
    """What was said of the version in force."""
    configured_anew: bool
    """The configuration has been changed since that version was made, which still holds: restore version 0 to have what
    the configuration says."""


class EditAgent(Body):
    """What is to change; what is left out, or null, stays."""

    base_version: Annotated[int, Field(ge=0), JSON_NUMBER]
    """The version that you have looked at: 409 when there is a newer one."""
    prompt: Annotated[str | None, Field(max_length=_MOST_TEXT)] = None
    greeting: Annotated[str | None, Field(max_length=2_000)] = None
    notes: Annotated[dict[str, _NoteText | None], Field(max_length=50, default_factory=dict)]
    """Documents in Markdown, by file name (`prices.md`); null takes one away."""
    note: Annotated[str, Field(max_length=500)] = ""
    """Why."""


class VersionInfo(BaseModel):
    """A version, in short."""

    version: int
    at: datetime | None
    by: str
    """Id of the API key."""
    note: str


class VersionWords(VersionInfo):
    """A version, whole."""

    prompt: str
    greeting: str
    notes: dict[str, str]


class VersionList(BaseModel):
    versions: list[VersionInfo]
    """The newest first; version 0, as configured, is the last."""


class Audited(Protocol):
    def __call__(self, action: str, subject: str) -> None: ...


def agents_router(desk: AgentDesk, audited: Audited) -> APIRouter:
    """The routes over this desk; `audited` is told of changes."""
    router = APIRouter(prefix="/agents", tags=["console"], responses=problem_responses(401, 422, 503))

    @router.get("")
    async def list_agents(request: Request) -> AgentList:
        """All agents."""
        names = filter(reach_of(request).covers_agent, desk.names)
        return AgentList(agents=[AgentSummary.model_validate(_facts(desk, name)) for name in names])

    @router.get("/{name}")
    async def get_agent(name: _AgentName) -> AgentInfo:
        """An agent as its next call will have it."""
        return _info(desk, name)

    @router.put("/{name}", responses=problem_responses(409, 413))
    async def edit_agent(name: _AgentName, order: EditAgent, request: Request) -> AgentInfo:
        """Change it: prompt and greeting from the next call on, while calls that stand keep theirs; notes are knowledge
        at once. Needs the scope `admin`."""
        made = await desk.edit(
            name,
            order.base_version,
            by=request.state.key_id,
            prompt=order.prompt,
            greeting=order.greeting,
            notes=order.notes,
            note=order.note,
        )
        audited("agent_edited", f"{name} {made.version}")
        return _info(desk, name)

    @router.get("/{name}/versions")
    async def list_versions(name: _AgentName) -> VersionList:
        """What it was before."""
        versions = [*reversed(await desk.versions(name)), await desk.version(name, 0)]
        return VersionList(versions=[VersionInfo.model_validate(_version_facts(one)) for one in versions])

    @router.get("/{name}/versions/{number}", responses=problem_responses(404))
    async def get_version(name: _AgentName, number: _Number) -> VersionWords:
        """One of them."""
        version = await desk.version(name, number)
        words = version.words
        return VersionWords.model_validate(
            {**_version_facts(version), "prompt": words.prompt, "greeting": words.greeting, "notes": dict(words.notes)}
        )

    @router.post("/{name}/versions/{number}/restore", responses=problem_responses(404, 409))
    async def restore_version(name: _AgentName, number: _Number, request: Request) -> AgentInfo:
        """A new version that says what this one said. Needs the scope `admin`."""
        made = await desk.restore(name, number, by=request.state.key_id)
        audited("agent_edited", f"{name} {made.version}")
        return _info(desk, name)

    return router


def _facts(desk: AgentDesk, name: str) -> dict[str, object]:
    config, newest = desk.config(name), desk.newest(name)
    return {
        "name": name,
        "stt": config.stt,
        "llm": config.llm,
        "tts": config.tts,
        "voice": config.voice,
        "language": config.language,
        "realtime": config.realtime,
        "version": 0 if newest is None else newest.version,
        "edited_at": None if newest is None else newest.at,
    }


def _info(desk: AgentDesk, name: str) -> AgentInfo:
    words, newest = desk.words(name), desk.newest(name)
    return AgentInfo.model_validate(
        {
            **_facts(desk, name),
            "prompt": words.prompt,
            "greeting": words.greeting,
            "notes": dict(words.notes),
            "documents": list(desk.documents(name)),
            "note": "" if newest is None else newest.note,
            "configured_anew": desk.is_configured_anew(name),
        }
    )


def _version_facts(version: AgentVersion) -> dict[str, object]:
    return {
        "version": version.version,
        "at": version.at if version.version else None,
        "by": version.by,
        "note": version.note,
    }
