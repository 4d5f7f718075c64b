# SPDX-License-Identifier: GPL-3.0-or-later
"""A gateway's campaigns as its HTTP clients see them, by a script: what the real one does only when luck is bad (it is
gone for a while, its answer breaks off, its list has a fault) happens here when it is told to."""

import asyncio
import contextlib
import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from gateway.api import bind_http, serving
from gateway.api.problems import problem_response

KEY = "parley_test_key"
NOON = "2026-11-23T12:00:00Z"
COLUMNS = ("sequence", "line", "number", "outcome", "note")


def list_report(rows: int, accepted: int, **more: object) -> dict[str, object]:
    """Of `POST .../contacts`."""
    report: dict[str, object] = {"rows": rows, "accepted": accepted, "invalid": 0, "duplicates": 0, "do_not_call": 0}
    return {**report, "no_consent": 0, "problems": [], "more_problems": 0, **more}


class CampaignGateway:
    """One campaign, `c1`. Each question about it lets the next contact be done, until all are."""

    def __init__(self, outcomes: tuple[str, ...] = ("talked", "busy", "no_answer")) -> None:
        self.outcomes = outcomes
        self.report = list_report(len(outcomes), len(outcomes))
        self.state = "draft"
        self.done = 0
        self.is_stuck = False
        """Nobody is done any more."""
        self.requests: list[str] = []
        """`POST /campaigns`, in order; questions about the campaign are not among them."""
        self.policy: dict[str, Any] = {}
        self.name = ""
        self.uploaded = b""
        self.content_type = ""
        self.refuse: dict[str, Response] = {}
        """By request: what is answered to it, always."""
        self.away_for = 0
        """So many questions are answered 503."""
        self.breaks_after: list[int] = []
        """Bytes after which the answers with results break off, one after the other."""
        self.do_not_call: list[dict[str, Any]] = []
        self.started = asyncio.Event()
        self.reads_for_ever = False
        """It has the list, and does not come to an end with it."""
        self.reading = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Its address."""
        app = FastAPI()
        app.include_router(self._routes())
        listener = bind_http("127.0.0.1", 0)
        async with serving(app, listener):
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"

    def _routes(self) -> APIRouter:
        routes = APIRouter(prefix="/api/v1")

        @routes.post("/campaigns")
        async def create(request: Request) -> Response:
            if (refusal := self._refusal(request)) is not None:
                return refusal
            order = await request.json()
            self.name, self.policy = order["name"], order["policy"]
            return JSONResponse(self._campaign(), 201)

        @routes.get("/campaigns")
        async def listed(request: Request) -> Response:
            return JSONResponse({"campaigns": [self._campaign()]})

        @routes.get("/campaigns/c1")
        async def get(request: Request) -> Response:
            if self.away_for:
                self.away_for -= 1
                return problem_response(503, "not now")
            if self.state == "running" and not self.is_stuck:
                if self.done == len(self.outcomes):
                    self.state = "done"
                self.done = min(self.done + 1, len(self.outcomes))
            return JSONResponse(self._campaign())

        @routes.post("/campaigns/c1/contacts")
        async def contacts(request: Request) -> Response:
            self.content_type = request.headers["content-type"]
            self.uploaded = await request.body()
            refusal = self._refusal(request)
            self.reading.set()
            if self.reads_for_ever:
                await request.receive()  # after the body: that the client has gone
            return refusal or JSONResponse(self.report)

        @routes.get("/campaigns/c1/results")
        async def results(request: Request, format: str, after: int) -> Response:
            return StreamingResponse(self._results(format, after))

        @routes.get("/campaigns/c1/report")
        async def report(request: Request) -> Response:
            return Response("<!doctype html>", media_type="text/html")

        @routes.post("/campaigns/c1/{verb}")
        async def act(request: Request, verb: str) -> Response:
            if (refusal := self._refusal(request)) is not None:
                return refusal
            states = {"start": "running", "pause": "paused", "resume": "running", "drain": "draining"}
            self.state = states.get(verb, "cancelled")
            self.started.set()
            return JSONResponse(self._campaign())

        @routes.delete("/campaigns/c1")
        async def remove(request: Request) -> Response:
            return self._refusal(request) or Response(status_code=204)

        @routes.get("/do-not-call")
        async def barred(request: Request, after: int) -> Response:
            next_after = after + 1 if after + 1 < len(self.do_not_call) else None  # a page has one
            return JSONResponse({"numbers": self.do_not_call[after : after + 1], "next": next_after})

        @routes.post("/do-not-call")
        async def bar(request: Request) -> Response:
            self.do_not_call.append({"campaign_id": None, **await request.json(), "added_at": NOON, "cause": "api"})
            return JSONResponse(self.do_not_call[-1], 201)

        @routes.delete("/do-not-call/{number}")
        async def unbar(request: Request, number: str) -> Response:
            self.do_not_call = [one for one in self.do_not_call if one["number"] != number]
            return Response(status_code=204)

        return routes

    def _refusal(self, request: Request) -> Response | None:
        asked = f"{request.method} {request.url.path.removeprefix('/api/v1')}"
        self.requests.append(asked)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return problem_response(401, "no key")
        return self.refuse.get(asked)

    def _campaign(self) -> dict[str, Any]:
        outcomes: dict[str, int] = {}
        for outcome in self.outcomes[: self.done]:
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        return {
            "campaign_id": "c1",
            "name": self.name,
            "state": self.state,
            "created_at": NOON,
            "started_at": None,
            "ended_at": None,
            "end_reason": None,
            "policy": self.policy,
            "progress": {
                "contacts": len(self.outcomes),
                "waiting": len(self.outcomes) - self.done,
                "done": self.done,
                "dialing": 0,
                "talking": 0,
                "outcomes": outcomes,
                "attempts": 0,
                "answered": 0,
                "people": 0,
                "abandoned": 0,
                "talked_s": 0.0,
                "cost": 0.0,
                "answer_rate": 0.5,
                "contact_rate": None,
                "eta_s": 30.0,
                "next_at": None,
            },
        }

    def rows(self) -> list[dict[str, str]]:
        """The results of all who are done; notes have what breaks careless readers."""
        return [
            {
                "sequence": str(index),
                "line": str(index + 1),
                "number": f"+1202555{index:04}",
                "outcome": outcome,
                "note": 'he said "no",\r\ntwice',
            }
            for index, outcome in enumerate(self.outcomes[: self.done], 1)
        ]

    async def _results(self, kind: str, after: int) -> AsyncIterator[bytes]:
        text = io.StringIO()
        if kind == "csv":
            writer = csv.DictWriter(text, COLUMNS)
            if not after:
                writer.writeheader()
            writer.writerows(self.rows()[after:])
        else:
            text.write("".join(json.dumps(row) + "\n" for row in self.rows()[after:]))
        content = text.getvalue().encode()
        if self.breaks_after:
            yield content[: self.breaks_after.pop(0)]
            raise ConnectionError("the gateway is killed")
        yield content
