# SPDX-License-Identifier: GPL-3.0-or-later
"""How much a client may send: bodies are small JSON objects, so they are read whole, up to a limit.

Lists of contacts are the exception: they may be long, and are handed on as they come.
"""

import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.api.problems import problem_response

STREAMED_PATH = re.compile(r"/[a-z0-9/]+/campaigns/[^/]+/contacts")
"""Where such bodies go."""


class BodyLimit:
    """ASGI middleware: a longer body is answered 413, before the application sees anything of it."""

    def __init__(self, app: ASGIApp, *, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or STREAMED_PATH.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":  # the client has gone
                return
            body += message.get("body", b"")
            if len(body) > self._max_bytes:
                detail = f"a request body has at most {self._max_bytes} bytes"
                await problem_response(413, detail, headers={"Connection": "close"})(scope, receive, send)
                return
            if not message.get("more_body", False):
                break
        whole: Message | None = {"type": "http.request", "body": bytes(body), "more_body": False}

        async def replay() -> Message:
            nonlocal whole
            message, whole = whole, None
            return await receive() if message is None else message

        await self._app(scope, replay, send)
