# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries events from the calls to whoever follows them."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from gateway.events.event import Event, EventKind


class EventBus:
    """One for the process; everything happens on the event loop's thread, and nothing in it waits."""

    def __init__(self, first_cursor: int = 1) -> None:
        self._cursor = first_cursor
        self._followers: tuple[Callable[[Event], None], ...] = ()
        self._watchers = 0
        self.is_watched_elsewhere = False
        """Somebody follows live at another node of the cluster."""

    def publish(self, kind: EventKind, call_id: str, data: Mapping[str, object]) -> None:
        """Tell every follower, in order."""
        event = Event(self._cursor, kind, call_id, datetime.now(UTC), data)
        self._cursor += 1
        for follower in self._followers:
            follower(event)

    def follow(self, follower: Callable[[Event], None]) -> None:
        """From now on give `follower` every event; it must not block."""
        self._followers += (follower,)

    def unfollow(self, follower: Callable[[Event], None]) -> None:
        """End that."""
        self._followers = tuple(one for one in self._followers if one != follower)

    @property
    def end(self) -> int:
        """What is published next comes after this cursor."""
        return self._cursor - 1

    @property
    def is_watched(self) -> bool:
        """Whether events that are not kept (`gateway.events.catalogue`) are worth the trouble: somebody looks on."""
        return self._watchers > 0 or self.is_watched_elsewhere

    @property
    def is_watched_here(self) -> bool:
        """Somebody looks on at this gateway."""
        return self._watchers > 0

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Somebody follows live, inside."""
        self._watchers += 1
        try:
            yield
        finally:
            self._watchers -= 1
