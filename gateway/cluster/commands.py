# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests from one node to another, and their answers, over two Redis streams of each node.

    ask > parley:commands:THEM > their `serve` > parley:replies:US > whoever asked
    tell > parley:commands:EACH > their `noticed`; nobody answers

An entry is deleted as soon as it is read, and sealed when there is an encryption key: it may hold what is to be said.
"""

import asyncio
import base64
import json
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError
from redis.exceptions import RedisError

from gateway.cluster.keys import commands_key, replies_key
from gateway.cluster.node import Node
from gateway.cluster.registry import Registry
from gateway.errors import ClusterUnreachable, NodeGone, NodeSilent, StoreError
from gateway.store.sealing import ColumnSealer

LIMIT_S = 30.0
"""How long an answer may take."""
MAX_BYTES = 1 << 20
"""Of a body, asked or answered."""
_KEPT = 1000
"""Commands that wait for a node, at most: the oldest give way, and whoever asked gets no answer."""
_AT_ONCE = 128
_BLOCK_MS = 500
_PAUSE_S = 0.2
_FORGET_S = 3600
_COMMAND, _REPLY = "cluster.command", "cluster.reply"

log = structlog.get_logger(__name__)


class Request(BaseModel):
    """An HTTP request, as its gate let it in."""

    model_config = ConfigDict(frozen=True)

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    state: dict[str, Any] = {}
    """Whose it is, as `gateway.api.gate` found: never a key itself."""
    client: str = ""
    """Address it came from."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What it was answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    is_absent: bool = False
    """Who answered does not have the call that it was about."""


@dataclass(frozen=True, slots=True)
class _Asked:
    node_id: str
    answer: "asyncio.Future[Reply]"


class Commands:
    """Of this node. `run` reads; `serve` and `noticed` are set before."""

    def __init__(self, registry: Registry, sealer: ColumnSealer) -> None:
        self._registry = registry
        self._sealer = sealer
        self._me = registry.me.node_id
        self._asked: dict[str, _Asked] = {}
        self._seen: deque[str] = deque(maxlen=_KEPT)
        """Commands that were read: an entry that could not be deleted comes again."""
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._serving: set[asyncio.Task[None]] = set()
        self.serve: Callable[[Request], Awaitable[Reply]] = _nobody
        """Answers what others ask."""
        self.noticed: Callable[[str, str], None] = lambda topic, text: None
        """Takes what others tell."""
        registry.on_death(self._give_up_on)

    # What this node asks

    async def ask(self, node_id: str, request: Request, limit_s: float = LIMIT_S) -> Reply:
        """Have another node answer. Raises `NodeSilent`, `NodeGone` when it dies meanwhile, `ClusterUnreachable`."""
        number = secrets.token_hex(12)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._asked[number] = _Asked(node_id, answer)
        try:
            text = json.dumps(
                {
                    "request": {
                        **request.model_dump(exclude={"body"}),
                        "body": base64.b64encode(request.body).decode("ascii"),
                    }
                }
            )
            fields = {"number": number, "from": self._me, "until": f"{time.time() + limit_s:.3f}"}
            await self._add(commands_key(node_id), fields, self._sealer.seal(text, _COMMAND))
            async with asyncio.timeout(limit_s):
                return await answer
        except TimeoutError:
            raise NodeSilent(
                f"node {node_id} has not answered within {limit_s:g} s: whether it did what it was asked is not known"
            ) from None
        finally:
            del self._asked[number]

    async def tell(self, topic: str, text: str = "") -> None:
        """Let every other node know; whoever cannot be told now has to look by itself when Redis is back."""
        for node_id in self._registry.nodes:
            if node_id != self._me:
                kept = self._sealer.seal(json.dumps({"topic": topic, "text": text}), _COMMAND)
                fields = {"number": secrets.token_hex(12), "from": self._me, "until": f"{time.time() + LIMIT_S:.3f}"}
                try:
                    await self._add(commands_key(node_id), fields, kept)
                except ClusterUnreachable as fault:
                    log.warning("cluster_notice_not_sent", topic=topic, node=node_id, cause=str(fault))

    async def _add(self, key: str, fields: Mapping[str, str], kept: str) -> None:
        if not self._registry.is_reachable:
            raise ClusterUnreachable("the nodes cannot reach each other: Redis does not answer")
        try:
            async with self._registry.redis.pipeline(transaction=False) as pipe:
                pipe.xadd(key, cast(Any, {**fields, "kept": kept}), maxlen=_KEPT, approximate=True)
                pipe.expire(key, _FORGET_S)
                await pipe.execute()
        except (RedisError, OSError) as fault:
            raise ClusterUnreachable("the nodes cannot reach each other: Redis does not answer") from fault

    def _give_up_on(self, node: Node) -> None:
        for asked in self._asked.values():
            if asked.node_id == node.node_id and not asked.answer.done():
                asked.answer.set_exception(
                    NodeGone(f"node {node.node_id} died before it answered: whether it did it is not known")
                )

    # What it reads

    async def run(self) -> None:
        """Take what comes, until cancelled."""
        redis = self._registry.redis
        ours = {commands_key(self._me): "0", replies_key(self._me): "0"}
        is_clean = False
        try:
            while True:
                try:
                    if not is_clean:  # what a run before of this node was asked is nobody's any more
                        await redis.delete(*ours)
                        is_clean = True
                    found = await redis.xread(cast(dict[Any, Any], ours), count=100, block=_BLOCK_MS)
                    for key, entries in cast(Sequence[tuple[str, Sequence[tuple[str, Mapping[str, str]]]]], found):
                        for _, fields in entries:
                            self._receive(key, fields)
                        await redis.xdel(key, *(number for number, _ in entries))
                except (RedisError, OSError):
                    await asyncio.sleep(_PAUSE_S)
        finally:
            for task in self._serving:
                task.cancel()

    def _receive(self, key: str, fields: Mapping[str, str]) -> None:
        number = f"{key} {fields.get('number', '')}"
        if number in self._seen:
            return
        self._seen.append(number)
        is_reply = key == replies_key(self._me)
        try:
            text = self._sealer.open(fields["kept"], _REPLY if is_reply else _COMMAND)
            told = json.loads(text)
            if is_reply:
                self._receive_reply(fields["number"], told)
            elif "topic" in told:
                self.noticed(told["topic"], told["text"])
            elif float(fields["until"]) > time.time():
                asked = told["request"]
                request = Request.model_validate({**asked, "body": base64.b64decode(asked["body"])})
                task = asyncio.create_task(self._answer(fields["number"], fields["from"], request), name="command")
                self._serving.add(task)
                task.add_done_callback(self._serving.discard)
        except (StoreError, ValidationError, ValueError, KeyError, TypeError) as fault:
            # Of another version, or sealed with another key.
            log.error("cluster_command_unreadable", cause=type(fault).__name__)

    def _receive_reply(self, number: str, told: Mapping[str, Any]) -> None:
        asked = self._asked.get(number)
        if asked is None or asked.answer.done():  # whoever asked has given up
            return
        headers = tuple((str(name), str(value)) for name, value in told["headers"])
        body = base64.b64decode(told["body"])
        asked.answer.set_result(Reply(int(told["status"]), headers, body, bool(told["is_absent"])))

    async def _answer(self, number: str, node_id: str, request: Request) -> None:
        async with self._slots:
            reply = await self.serve(request)
        text = json.dumps(
            {
                "status": reply.status,
                "headers": reply.headers,
                "body": base64.b64encode(reply.body).decode("ascii"),
                "is_absent": reply.is_absent,
            }
        )
        try:
            await self._add(replies_key(node_id), {"number": number}, self._sealer.seal(text, _REPLY))
        except ClusterUnreachable:
            log.warning("cluster_reply_not_sent", node=node_id)


async def _nobody(request: Request) -> Reply:
    raise NotImplementedError
