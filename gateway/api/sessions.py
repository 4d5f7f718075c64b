# SPDX-License-Identifier: GPL-3.0-or-later
"""`/sessions`: what stays of a call, and how to make it go away."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.api.calls import CallId
from gateway.api.problems import problem_response, problem_responses
from gateway.api.recordings import recording_response
from gateway.store import SessionRecord, SessionStore, SessionSummary


class SessionPage(BaseModel):
    """Sessions, newest first."""

    sessions: list[SessionSummary]
    next: str | None = None
    """Ask again with this as `before` for older ones; null: there are none."""


def sessions_router(store: SessionStore) -> APIRouter:
    """The routes over this store."""
    router = APIRouter(prefix="/sessions", tags=["sessions"], responses=problem_responses(401, 422, 503))

    @router.get("")
    async def list_sessions(
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        before: Annotated[str | None, Query(max_length=128)] = None,
    ) -> SessionPage:
        """Sessions without what was said, newest first."""
        sessions = await store.recent(limit + 1, before=before)
        page = [session.model_copy(update=_recording_link(session)) for session in sessions[:limit]]
        return SessionPage(sessions=page, next=page[-1].call_id if len(sessions) > limit else None)

    @router.get("/{call_id}", responses=problem_responses(404))
    async def get_session(call_id: CallId) -> SessionRecord:
        """Everything about one call, also while it runs."""
        session = await store.get(call_id)
        if session is None:
            raise _no_such_session(call_id)
        return session.model_copy(update=_recording_link(session))

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


def _recording_link(session: SessionSummary) -> dict[str, str | None]:
    return {"recording": session.recording and f"/api/v1/sessions/{session.call_id}/recording"}


def _no_such_session(call_id: str) -> HTTPException:
    return HTTPException(404, f"there is no session {call_id}")
