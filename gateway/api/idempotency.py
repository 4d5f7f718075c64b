# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that may be repeated: the same key, within a day, gets the first one's answer, and places no second call.

    key > its turn (those who come meanwhile wait) > kept answer? > place, keep the answer > next turn

After draft-ietf-httpapi-idempotency-key-header. Answers are kept in the database, so they outlive the process; failures
are not kept, and the next request with the key tries again. Clients with API keys of their own do not meet: two that
number their orders alike place two calls.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog
from pydantic import BaseModel

from gateway.api.control import CallInfo
from gateway.errors import IdempotencyConflict, StoreError
from gateway.store import KeptAnswer, SessionStore

log = structlog.get_logger(__name__)

MAX_KEY_CHARACTERS = 255
KEPT_FOR = timedelta(hours=24)


class _Turn:
    """Who uses one key right now."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


class IdempotentRequests:
    """One for the process. As many keys are under way as there are HTTP connections (`gateway.api.server`)."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store
        self._turns: dict[str, _Turn] = {}

    async def once(self, key: str, order: BaseModel, place: Callable[[], Awaitable[CallInfo]]) -> tuple[CallInfo, bool]:
        """What `place` answers, and False; or what it answered to this key before, and True.

        Raises `IdempotencyConflict` when that was another order, `StoreError`, and what `place` raises.
        """
        name = _digest(key)
        turn = self._turns.setdefault(name, _Turn())
        turn.users += 1
        try:
            async with turn.lock:
                return await self._in_turn(name, _digest(order.model_dump_json()), place)
        finally:
            turn.users -= 1
            if turn.users == 0:
                del self._turns[name]

    async def _in_turn(
        self, name: str, fingerprint: str, place: Callable[[], Awaitable[CallInfo]]
    ) -> tuple[CallInfo, bool]:
        kept = await self._store.kept_answer(name, since=datetime.now(UTC) - KEPT_FOR)
        if kept is not None:
            if kept.fingerprint != fingerprint:
                raise IdempotencyConflict("this Idempotency-Key was sent with another body before")
            return CallInfo.model_validate_json(kept.answer), True
        call = await place()
        now = datetime.now(UTC)
        answer = KeptAnswer(name, fingerprint, call.call_id, call.model_dump_json(by_alias=False), now)
        try:
            await self._store.keep_answer(answer, forget_before=now - KEPT_FOR)
        except StoreError as error:  # the call is placed, whatever became of the note
            log.warning("idempotency_key_not_kept", call_id=call.call_id, cause=str(error))
        return call, False


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
