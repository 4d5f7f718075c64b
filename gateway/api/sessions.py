# SPDX-License-Identifier: GPL-3.0-or-later
"""`/sessions`: what stays of a call, and how to make it go away."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from agent.redaction import ALL_KINDS
from gateway.api.calls import CallId
from gateway.api.problems import problem_response, problem_responses
from gateway.api.reach import Owner, Reach, reach_of
from gateway.api.recordings import recording_response
from gateway.calls.redaction import redacted_transcript
from gateway.sip.pcap import capture_file
from gateway.sip.signalling import SipMessage
from gateway.store import SessionRecord, SessionStore, SessionSummary
from gateway.store.records import SipMessageRecord, SipStep

Redact = Annotated[
    bool,
    Query(
        description="Without what looks like cards, account and other numbers, e-mail addresses, birth dates and "
        "names, though the call was kept as it was said."
    ),
]
_PCAP = "application/vnd.tcpdump.pcap"


class SessionPage(BaseModel):
    """Sessions, newest first."""

    sessions: list[SessionSummary]
    next: str | None = None
    """Ask again with this as `before` for older ones; null: there are none."""


class SessionSignalling(BaseModel):
    """The SIP messages of a call, in their order."""

    messages: list[SipMessageRecord]


def sessions_router(store: SessionStore, live_signalling: Callable[[str], Sequence[SipMessage]]) -> APIRouter:
    """The routes over this store; `live_signalling` knows the SIP messages of calls that are not over."""
    router = APIRouter(prefix="/sessions", tags=["sessions"], responses=problem_responses(401, 422, 503))

    @router.get("")
    async def list_sessions(
        request: Request,
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        before: Annotated[str | None, Query(max_length=128)] = None,
    ) -> SessionPage:
        """Sessions without what was said, newest first."""
        sessions = await _within(reach_of(request), limit + 1, before)
        page = [session.model_copy(update=_recording_link(session)) for session in sessions[:limit]]
        return SessionPage(sessions=page, next=page[-1].call_id if len(sessions) > limit else None)

    @router.get("/{call_id}", responses=problem_responses(404))
    async def get_session(call_id: CallId, redact: Redact = False) -> SessionRecord:
        """Everything about one call, also while it runs."""
        session = await store.get(call_id)
        if session is None:
            raise _no_such_session(call_id)
        if redact:
            session = session.model_copy(update={"transcript": redacted_transcript(session.transcript, ALL_KINDS)})
        ladder = tuple(sip_step(message) for message in await signalling_of(call_id))
        return session.model_copy(update={**_recording_link(session), "sip": ladder})

    async def _within(reach: Reach, limit: int, before: str | None) -> list[SessionSummary]:
        """Those that the key reaches; tags are read one by one, they may lie sealed."""
        found: list[SessionSummary] = []
        while len(found) < limit:
            page = await store.recent(limit, before=before, agents=reach.agents, trunks=reach.trunks)
            found += [one for one in page if reach.covers(Owner(one.agent, one.trunk, one.metadata))]
            if len(page) < limit:
                break
            before = page[-1].call_id
        return found[:limit]

    async def signalling_of(call_id: str) -> Sequence[SipMessage]:
        return live_signalling(call_id) or await store.signalling.of_call(call_id)

    @router.get("/{call_id}/signalling", responses=problem_responses(404))
    async def get_signalling(call_id: CallId) -> SessionSignalling:
        """Every SIP message of the call, in its order, also while it runs. Digest responses, SRTP keys and pressed keys
        are left out."""
        if await store.get(call_id) is None:
            raise _no_such_session(call_id)
        messages = [
            SipMessageRecord(
                **sip_step(message).model_dump(),
                local=message.local,
                sip_call_id=message.sip_call_id,
                text=message.text,
            )
            for message in await signalling_of(call_id)
        ]
        return SessionSignalling(messages=messages)

    @router.get(
        "/{call_id}/signalling.pcap",
        response_class=Response,
        responses={
            200: {
                "description": "For Wireshark and sngrep: each message in a UDP datagram, whatever carried it.",
                "content": {_PCAP: {"schema": {"type": "string", "format": "binary"}}},
            },
            **problem_responses(404),
        },
    )
    async def get_capture(call_id: CallId) -> Response:
        """The same as a capture file."""
        if await store.get(call_id) is None:
            raise _no_such_session(call_id)
        return Response(capture_file(await signalling_of(call_id)), media_type=_PCAP)

    @router.delete("/{call_id}", status_code=204, response_model=None, responses=problem_responses(404, 409))
    async def erase_session(call_id: CallId) -> Response:
        """Erase the session: every row and the recording. Hang up first."""
        session = await store.get(call_id)
        if session is None:
            raise _no_such_session(call_id)
        if session.ended_at is None:
            return problem_response(
                409, "hang up first", name="wrong-call-state", title="The call's state does not allow this"
            )
        await store.erase(call_id)
        return Response(status_code=204)

    @router.head("/{call_id}/recording", include_in_schema=False)
    @router.get(
        "/{call_id}/recording",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "Stereo: the caller left, we right. Decrypted. With `Parley-Truncated: true` its end is "
                "missing (the gateway was killed, or the disk was full).",
                "content": {
                    media_type: {"schema": {"type": "string", "format": "binary"}}
                    for media_type in ("audio/wav", "audio/ogg")
                },
            },
            206: {"description": "The range that was asked for."},
            **problem_responses(404, 409, 410, 416, 500),
        },
    )
    async def get_recording(call_id: CallId, request: Request) -> Response:
        """The recording of a call that is over, or was stopped. Ranges of bytes are understood."""
        session = await store.get(call_id)
        if session is None:
            raise _no_such_session(call_id)
        path = await store.recording_file(call_id)
        if path is None:
            raise HTTPException(404, f"session {call_id} has no recording")
        if session.ended_at is None and session.recording_facts is None:
            return problem_response(
                409,
                "the recording goes on: stop it, or wait for the call to end",
                name="wrong-call-state",
                title="The call's state does not allow this",
            )
        return await recording_response(request, path, store.key, call_id)

    return router


def sip_step(message: SipMessage) -> SipStep:
    """A message in short."""
    return SipStep(
        at=datetime.fromtimestamp(message.at_us / 1e6, UTC),
        sent=message.sent,
        transport=message.transport,
        peer=message.peer,
        summary=message.summary,
    )


def _recording_link(session: SessionSummary) -> dict[str, str | None]:
    return {"recording": session.recording and f"/api/v1/sessions/{session.call_id}/recording"}


def _no_such_session(call_id: str) -> HTTPException:
    return HTTPException(404, f"there is no session {call_id}")
