# SPDX-License-Identifier: GPL-3.0-or-later
"""What your own systems know of a caller: asked when an agent takes the call, told to its language model.

    call begins > POST {"caller", "metadata"} (through the guard) > JSON object > ContextNote `lookup`, in every turn

The greeting does not wait for it; the first answers wait as long as for any source. What fails is logged and missing.
"""

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import httpx
import structlog

from agent.config import LookupConfig
from agent.services.llm import ContextNote, Conversation
from gateway.errors import UrlError
from gateway.guard import LOOKUP_URL, OutboundGuard
from gateway.outbound import http_client

log = structlog.get_logger(__name__)

_MAX_BYTES = 16_384
"""Of an answer: more is no note but a database."""
_MOST_CALLS = 2_000
"""Whose answers are held; drops oldest."""
_KEPT_S = 4 * 3_600.0

_Key = tuple[str, tuple[tuple[str, str], ...]]


class CallLookup:
    """One agent's. A `ContextSource` and an async context manager: leaving it cancels what is under way."""

    def __init__(self, config: LookupConfig, guard: OutboundGuard) -> None:
        self._config = config
        self._client = http_client(guard, LOOKUP_URL, timeout_s=config.timeout_ms / 1e3)
        self._asked: OrderedDict[_Key, tuple[float, asyncio.Task[Sequence[ContextNote]]]] = OrderedDict()
        self._tasks: asyncio.TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._tasks is not None
        for _, task in self._asked.values():
            task.cancel()
        await self._tasks.__aexit__(None, None, None)
        await self._client.aclose()

    def begin(self, caller: str, metadata: Mapping[str, str]) -> None:
        """A call of this caller begins: ask."""
        self._ask(caller, metadata)

    async def notes(self, conversation: Conversation) -> Sequence[ContextNote]:
        """What is known of the caller; nothing when it is not known in time."""
        return await asyncio.shield(self._ask(conversation.caller, conversation.metadata))

    def _ask(self, caller: str, metadata: Mapping[str, str]) -> "asyncio.Task[Sequence[ContextNote]]":
        key = (caller, tuple(sorted(metadata.items())))
        now = time.monotonic()
        while self._asked and (len(self._asked) > _MOST_CALLS or next(iter(self._asked.values()))[0] < now - _KEPT_S):
            self._asked.popitem(last=False)[1][1].cancel()
        if key not in self._asked:
            assert self._tasks is not None
            self._asked[key] = (now, self._tasks.create_task(self._request(caller, metadata), name="lookup"))
        return self._asked[key][1]

    async def _request(self, caller: str, metadata: Mapping[str, str]) -> Sequence[ContextNote]:
        body = {"caller": caller, "metadata": dict(metadata)}
        headers = {name: value.get_secret_value() for name, value in self._config.headers.items()}
        headers["Accept-Encoding"] = "identity"  # compressed, a small answer could unpack to any size
        try:
            async with self._client.stream("POST", self._config.url, json=body, headers=headers) as answer:
                answer.raise_for_status()
                content = b""
                async for piece in answer.aiter_raw():
                    content += piece
                    if len(content) > _MAX_BYTES:
                        raise ValueError(f"the answer has more than {_MAX_BYTES} bytes")
            found = json.loads(content)
            if not isinstance(found, dict):
                raise ValueError("the answer is no JSON object")
        except (httpx.HTTPError, httpx.InvalidURL, UrlError, ValueError, RecursionError) as fault:
            log.warning("lookup_failed", cause=f"{type(fault).__name__}: {fault}"[:200])
            return ()
        if not found:
            return ()
        return (ContextNote("lookup", f"Known of the caller: {json.dumps(found, ensure_ascii=False)}"),)
