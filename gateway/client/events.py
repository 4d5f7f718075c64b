# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's events, one after the other, over connections that may break."""

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from gateway.client.errors import ApiError, BadAnswer, NotReachable
from gateway.client.handshake import open_websocket
from gateway.client.models import EventInfo

log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.2, 10.0
_STEADY_S = 5.0
"""A connection that held so long was a good one: the next pause is short again."""


class EventFeed:
    """Iterate over it. After a drop it connects again and goes on after the last event it gave: nothing is lost, and
    nothing comes twice, as long as the gateway keeps what was missed (`complete`).

    Before the first connection it raises `NotReachable` or an `ApiError`; after it, only an `ApiError` that will not
    go away by itself. Kinds of events that this version does not know are left out.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        after: int | None,
        position: str | None = None,
        call_id: str | None,
        kinds: Sequence[str],
    ) -> None:
        self.cursor = after
        """Of the last event that was given: keep it, and `after=cursor` goes on here. None: nothing came yet."""
        self.position = position
        """The same at a gateway that is one of a cluster: `position=` goes on here at any of its nodes."""
        self.complete = True
        """False: some of what came before the last event was not kept by the gateway."""
        self._base_url = base_url
        self._api_key = api_key
        self._filter = {
            **({} if call_id is None else {"call_id": call_id}),
            **({"kinds": ",".join(kinds)} if kinds else {}),
        }

    async def __aiter__(self) -> AsyncIterator[EventInfo]:
        connection: ClientConnection | None = await self._connect()
        pause_s = _FIRST_PAUSE_S
        while True:
            if connection is not None:
                connected_at = time.monotonic()
                async with connection:
                    with contextlib.suppress(ConnectionClosed):
                        async for message in connection:
                            event = self._read(message)
                            if event is not None:
                                yield event
                if time.monotonic() - connected_at > _STEADY_S:
                    pause_s = _FIRST_PAUSE_S
            # Not all at once: everybody who listens to a gateway loses it at the same moment.
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)
            connection = await self._connect_again()

    def _go_on_from(self, told: dict[str, Any]) -> None:
        self.cursor = int(told["cursor"])
        self.position = None if told.get("position") is None else str(told["position"])

    async def _connect(self) -> ClientConnection:
        seen = {} if self.cursor is None else {"after": str(self.cursor)}
        query = {**self._filter, **(seen if self.position is None else {"position": self.position})}
        path = "/api/v1/events" + (f"?{urlencode(query)}" if query else "")
        return await open_websocket(self._base_url, path, api_key=self._api_key)

    async def _connect_again(self) -> ClientConnection | None:
        try:
            return await self._connect()
        except NotReachable as error:
            log.info("the event feed is down: %s", error)
        except ApiError as error:
            if not error.retryable:
                raise
            log.info("the event feed is refused: %s", error)
        return None

    def _read(self, message: str | bytes) -> EventInfo | None:
        try:
            told: dict[str, Any] = json.loads(message)
            if told["kind"] == "feed.started":
                self.complete = self.complete and bool(told["complete"])
                self._go_on_from(told)
                return None
            self._go_on_from(told)
        except (ValueError, KeyError, TypeError):
            raise BadAnswer("the event feed says what is no event") from None
        try:
            return EventInfo.model_validate(told)
        except ValidationError:
            log.debug("an event of a kind that is not known here: %s", told["kind"])
            return None
