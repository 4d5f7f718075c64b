# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that takes a while, and how far it is: for the terminal, the log, `GET /work` and the feed.

begin > update, update... > end or fail    each told to the followers, updates of one work at most twice a second
"""

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

WorkKind = Literal["knowledge", "campaign_list", "phrases", "engines"]
"""knowledge: an agent's documents are indexed. campaign_list: a list is read into a campaign. phrases: what an agent
says is rendered ahead. engines: the offline models are loaded."""
WorkState = Literal["running", "done", "failed"]

_TOLD_EVERY_S = 0.5
_ENDED_WORKS = 20
"""So many that are over are shown."""


@dataclass(frozen=True, slots=True)
class WorkFacts:
    """How far something is."""

    id: str
    kind: WorkKind
    name: str
    """Of the agent, or the campaign's id."""
    done: int
    total: int | None
    """None: nobody can tell yet."""
    unit: str
    """What is counted: `passages`, `bytes`..."""
    state: WorkState
    detail: str = ""
    """More in words; of what has failed, why."""


class Work:
    """Something that takes a while. Whoever does it tells; nothing here waits."""

    def __init__(self, facts: WorkFacts, told: Callable[["Work"], None], clock: Callable[[], float]) -> None:
        self.facts = facts
        self._told = told
        self._clock = clock
        self._begun_at = clock()
        self._due_at = self._begun_at + _TOLD_EVERY_S

    @property
    def took_s(self) -> float:
        """Until now."""
        return self._clock() - self._begun_at

    def update(self, done: int, total: int | None = None, detail: str | None = None) -> None:
        """It is so far; None: as before."""
        before = self.facts
        self.facts = replace(
            before,
            done=done,
            total=before.total if total is None else total,
            detail=before.detail if detail is None else detail,
        )
        if self.facts != before and self._clock() >= self._due_at:
            self._due_at = self._clock() + _TOLD_EVERY_S
            self._told(self)

    def end(self, detail: str | None = None) -> None:
        """All of it is done."""
        done = self.facts.done if self.facts.total is None else self.facts.total
        self._over("done", done, self.facts.detail if detail is None else detail)

    def fail(self, cause: str) -> None:
        """It came to nothing, for this reason."""
        self._over("failed", self.facts.done, cause)

    def _over(self, state: WorkState, done: int, detail: str) -> None:
        if self.facts.state == "running":
            self.facts = replace(self.facts, state=state, done=done, detail=detail)
            self._told(self)


class WorkBoard:
    """All of it. One for the process, event loop only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._numbers = itertools.count(1)
        self._running: dict[str, Work] = {}
        self._ended: deque[WorkFacts] = deque(maxlen=_ENDED_WORKS)
        self._followers: list[Callable[[Work], None]] = []

    def follow(self, follower: Callable[[Work], None]) -> None:
        """Tell it of every work that begins, goes on and ends."""
        self._followers.append(follower)

    def begin(self, kind: WorkKind, name: str, unit: str, total: int | None = None) -> Work:
        """Something has begun; its end must be told."""
        facts = WorkFacts(f"work_{next(self._numbers)}", kind, name, 0, total, unit, "running")
        work = self._running[facts.id] = Work(facts, self._tell, self._clock)
        self._tell(work)
        return work

    @contextlib.contextmanager
    def working(self, kind: WorkKind, name: str, unit: str, total: int | None = None) -> Iterator[Work]:
        """Inside it is done, and an exception is its failure."""
        work = self.begin(kind, name, unit, total)
        try:
            yield work
        except Exception as fault:
            work.fail(str(fault))
            raise
        except BaseException:
            work.fail("given up")
            raise
        work.end()

    @property
    def running(self) -> tuple[Work, ...]:
        """What is not over, the oldest first."""
        return tuple(self._running.values())

    def listed(self) -> list[WorkFacts]:
        """What is not over, then what was over last; each the newest first."""
        return [one.facts for one in reversed(self._running.values())] + list(self._ended)

    def _tell(self, work: Work) -> None:
        if work.facts.state != "running":
            self._running.pop(work.facts.id, None)
            self._ended.appendleft(work.facts)
        for follower in self._followers:
            follower(work)
