# SPDX-License-Identifier: GPL-3.0-or-later
"""The event log's rows, and which webhook has still to get which of them.

`add` writes an event and its deliveries in one transaction, so that a webhook loses none; `delivered` takes one back.
Events go with their session (foreign key) and by `prune`, deliveries with their event.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol, cast

from sqlalchemy import Executable, bindparam, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.events.catalogue import CATALOGUE
from gateway.events.event import Event, EventKind
from gateway.events.reading import CURSORS_PER_RUN, begin_of, run_of
from gateway.store.sealing import ColumnSealer
from gateway.store.tables import DeliveryRow, EventLogRow, EventRow
from gateway.store.writes import Step

_SEALED = "events.data"

_EVENTS = select(EventRow.cursor, EventRow.kind, EventRow.call_id, EventRow.at, EventRow.data).order_by(EventRow.cursor)
_ADD = insert(EventRow)
_ADD_DELIVERY = insert(DeliveryRow)
_DELIVERED = delete(DeliveryRow).where(
    DeliveryRow.cursor == bindparam("of_cursor"), DeliveryRow.webhook == bindparam("of_webhook")
)
EVENT_STATEMENTS: dict[str, Executable] = {
    "events.add": _ADD,
    "deliveries.add": _ADD_DELIVERY,
    "deliveries.delivered": _DELIVERED,
}
_PRUNE = delete(EventRow).where(EventRow.at <= bindparam("up_to"))
_PRUNED = update(EventLogRow).values(kept_after=bindparam("new_kept_after"))


class Put(Protocol):
    """Queue steps that are committed together; `settled` is told when they are, or never will be. `last`: steps that
    may come after others that are committed with them."""

    def __call__(
        self,
        *steps: Step,
        wait: bool = False,
        settled: Callable[[], None] | None = None,
        last: tuple[Step, ...] = (),
    ) -> Awaitable[None]: ...


class EventRows:
    """Part of `SessionStore`: writes go through its writer, in order."""

    def __init__(
        self,
        put: Put,
        reading: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
        sealer: ColumnSealer,
        writing: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
    ) -> None:
        self._put = put
        self._reading = reading
        self._sealer = sealer
        self._writing = writing

    async def begin_run(self) -> tuple[int, int]:
        """The first cursor of this run, larger than all there were; and the cursor after which all are kept."""
        async with self._writing() as connection:
            await connection.execute(update(EventLogRow).values(runs=EventLogRow.runs + 1))
            runs, kept_after = (await connection.execute(select(EventLogRow.runs, EventLogRow.kept_after))).one()
            newest = await connection.scalar(select(func.max(EventRow.cursor))) or 0
            if newest >= runs * CURSORS_PER_RUN:  # a run that told more than it had numbers for
                runs = newest // CURSORS_PER_RUN + 1
                await connection.execute(update(EventLogRow).values(runs=runs))
        return runs * CURSORS_PER_RUN, kept_after

    async def add(self, event: Event, webhooks: Sequence[str], settled: Callable[[], None]) -> None:
        """Keep an event, which these webhooks are to get."""
        row = {
            "cursor": event.cursor,
            "call_id": event.call_id or None,
            "kind": event.kind,
            "at": event.at,
            "data": self._sealer.seal(json.dumps(dict(event.data), separators=(",", ":")), _SEALED),
        }
        deliveries = tuple((_ADD_DELIVERY, {"cursor": event.cursor, "webhook": name}) for name in webhooks)
        await self._put((_ADD, row), settled=settled, last=deliveries)

    async def delivered(self, webhook: str, cursor: int) -> None:
        """This webhook has got the event, or is never going to."""
        await self._put(last=((_DELIVERED, {"of_cursor": cursor, "of_webhook": webhook}),))

    async def read(
        self, after: int, up_to: int, limit: int, *, call_id: str | None, kinds: Collection[EventKind] | None
    ) -> list[Event]:
        """Oldest first, cursors in (after, up_to]. Raises `StoreError`."""
        query = _EVENTS.where(EventRow.cursor > after, EventRow.cursor <= up_to).limit(limit)
        if call_id is not None:
            query = query.where(EventRow.call_id == call_id)
        if kinds is not None:
            query = query.where(EventRow.kind.in_(sorted(kinds)))
        return await self._events(query)

    async def newest_of_runs(self, before: datetime | None = None) -> dict[int, int]:
        """The last cursor of each run, of events before that time. Raises `StoreError`."""
        query = select(func.max(EventRow.cursor)).group_by(EventRow.cursor // CURSORS_PER_RUN)
        if before is not None:
            query = query.where(EventRow.at < before)
        async with self._reading() as connection:
            return {run_of(cursor): cursor for cursor in await connection.scalars(query)}

    async def moment(self, cursor: int) -> datetime | None:
        """When the last event of its run up to this cursor was; None: none is kept. Raises `StoreError`."""
        query = select(EventRow.at).where(EventRow.cursor > begin_of(run_of(cursor)), EventRow.cursor <= cursor)
        async with self._reading() as connection:
            found: datetime | None = await connection.scalar(query.order_by(EventRow.cursor.desc()).limit(1))
        return found

    async def undelivered(self, webhook: str, after: int, up_to: int, limit: int) -> list[Event]:
        """What this webhook has still to get, oldest first, cursors in (after, up_to]. Raises `StoreError`."""
        query = _EVENTS.join(DeliveryRow, DeliveryRow.cursor == EventRow.cursor).where(DeliveryRow.webhook == webhook)
        return await self._events(query.where(EventRow.cursor > after, EventRow.cursor <= up_to).limit(limit))

    async def calls_without_end(self) -> list[str]:
        """Calls that something was told of, but not their end: their process died. Raises `StoreError`."""
        ended = select(EventRow.call_id).where(EventRow.kind == "call.ended")
        left = (
            select(EventRow.call_id)
            .where(EventRow.call_id.is_not(None), EventRow.call_id.not_in(ended))
            .group_by(EventRow.call_id)
        )
        async with self._reading() as connection:
            return list(await connection.scalars(left.order_by(func.min(EventRow.cursor))))

    async def drop_deliveries_except(self, webhooks: Collection[str]) -> None:
        """Forget what webhooks that are not configured any more have not got."""
        await self._put((delete(DeliveryRow).where(DeliveryRow.webhook.not_in(sorted(webhooks))), {}))

    async def prune(self, before: datetime, keep: int) -> tuple[int, Mapping[str, int]]:
        """Remove events older than `before`, and the oldest of more than `keep`. Returns the cursor after which all
        are kept, and how many of those removed each webhook had not got. Raises `StoreError`."""
        async with self._reading() as connection:
            kept_after: int = await connection.scalar(select(EventLogRow.kept_after)) or 0
            too_old = await connection.scalar(select(func.max(EventRow.at)).where(EventRow.at < before))
            too_many = await connection.scalar(select(EventRow.at).order_by(EventRow.at.desc()).offset(keep).limit(1))
            # By time: with several nodes, the oldest events are not those with the smallest cursors.
            up_to = max((at for at in (too_old, too_many) if at is not None), default=None)
            if up_to is None:
                return kept_after, {}
            newest = await connection.scalar(select(func.max(EventRow.cursor)).where(EventRow.at <= up_to)) or 0
            missed = await connection.execute(
                select(DeliveryRow.webhook, func.count())
                .join(EventRow, EventRow.cursor == DeliveryRow.cursor)
                .where(EventRow.at <= up_to)
                .group_by(DeliveryRow.webhook)
            )
            lost = {webhook: count for webhook, count in missed}
        kept_after = max(kept_after, newest)
        await self._put((_PRUNE, {"up_to": up_to}), (_PRUNED, {"new_kept_after": kept_after}), wait=True)
        return kept_after, lost

    async def _events(self, query: Executable) -> list[Event]:
        async with self._reading() as connection:
            rows: Sequence[Any] = (await connection.execute(query)).all()
        return [
            Event(cursor, cast(EventKind, kind), call_id or "", at, json.loads(self._sealer.open(data, _SEALED)))
            for cursor, kind, call_id, at, data in rows
            if kind in CATALOGUE  # another version's are nothing to us
        ]
