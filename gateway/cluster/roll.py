# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes of a cluster, for who is none of them: `parley edge follow`."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

from pydantic import ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.cluster.keys import NODES, node_key
from gateway.cluster.node import Node
from gateway.errors import GatewayError

_TIMEOUT_S = 1.0


class RollUnreadable(GatewayError):
    """Redis does not say which nodes there are."""


class Roll:
    """Made by `open_roll`."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def call(self) -> Mapping[str, Node | None]:
        """All nodes that have come and not taken their leave, by id; None: its heart has stopped. Raises
        `RollUnreadable`."""
        try:
            ids = sorted(cast(set[str], await self._redis.smembers(NODES)))
            beats = await self._redis.mget([node_key(one) for one in ids]) if ids else []
        except (RedisError, OSError, TimeoutError) as fault:
            raise RollUnreadable(type(fault).__name__) from fault
        return {one: _node(beat) for one, beat in zip(ids, beats, strict=True)}


def _node(beat: object) -> Node | None:
    if not isinstance(beat, str):
        return None
    try:
        return Node.model_validate_json(beat)
    except ValidationError:  # of another version: we cannot send it calls
        return None


@asynccontextmanager
async def open_roll(redis_url: str) -> AsyncIterator[Roll]:
    """Connects when it is first asked."""
    redis: Redis = Redis.from_url(
        redis_url, decode_responses=True, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
    )
    try:
        yield Roll(redis)
    finally:
        await redis.aclose()
