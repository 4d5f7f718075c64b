# SPDX-License-Identifier: GPL-3.0-or-later
"""Members asked one after the other, and side by side when one is late: what the first to answer gives.

    members > ask the first > it gives ──────────────────────────> items
                            > it fails ──> ask the next ──> ...
                            > it is late > ask the next as well ─> whoever gives first; the others are cancelled

"Late" can be in the middle, too: then the next one is asked for the rest. Nobody is asked twice for the same item, and
nobody again who has failed: one more try with the same services is for `agent.deadlines.asked_again`, which asks the
whole chain.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from agent.chains.events import FellBack, Hedged, OnChainEvent, Role
from agent.chains.member import Member, Request
from agent.errors import AgentError, AgentMisuse, ServiceError, ServiceLate, ServiceUnavailable
from agent.read_ahead import ReadAhead

log = structlog.get_logger(__name__)

Service = TypeVar("Service")
Item = TypeVar("Item")

_AHEAD = 64
"""Items that are held of each member; then it waits."""


@dataclass(frozen=True, slots=True)
class Rules:
    """One chain's."""

    chain: str
    role: Role
    first_s: float
    """Without a first item for so long, a member is late."""
    next_s: float
    """Likewise between two items."""
    on_event: OnChainEvent
    takes_place: bool = True
    """Each question counts for the limits of the member that is asked."""


class _Attempt(Generic[Service, Item]):
    """One member that is being asked."""

    def __init__(
        self,
        member: Member[Service],
        request: Request,
        items: AsyncIterator[Item],
        changed: asyncio.Event,
        *,
        is_hedge: bool,
    ) -> None:
        self.member = member
        self.request = request
        self.is_hedge = is_hedge
        self.news_at = member.clock()
        """When it last gave something, or was asked for something."""
        self.items = ReadAhead(self._followed(items), _AHEAD, changed)

    async def _followed(self, items: AsyncIterator[Item]) -> AsyncGenerator[Item, None]:
        try:
            async for item in items:
                self.request.has_news = True
                self.news_at = self.member.clock()
                yield item
                self.news_at = self.member.clock()
        finally:
            if isinstance(items, AsyncGenerator):
                await items.aclose()

    def drop(self) -> None:
        """Nobody wants its answer any more; whoever has entered the context of `items` waits for its end."""
        self.items.stop()
        self.request.close()


async def race(
    rules: Rules, members: Sequence[Member[Service]], ask: Callable[[Member[Service]], AsyncIterator[Item]]
) -> AsyncGenerator[Item, None]:
    """What they give. `ask` is called for the rest: what was given before is not to come again. Raises `ServiceError`
    when nobody is left. Use it under `contextlib.aclosing`."""
    async with AsyncExitStack() as stack:
        running = _Field(rules, members, ask, stack)
        await running.ask_next()
        while True:
            leader = next((attempt for attempt in running.attempts if attempt.items.holds_any), None)
            if leader is not None:
                running.settle(leader)
                item = await leader.items.next(0)
                assert item is not None, "it holds one"
                yield item
                continue
            over = next((attempt for attempt in running.attempts if attempt.items.is_done), None)
            if over is None:
                await running.until_news()
            elif (error := running.failure_of(over)) is None:
                running.settle(over)
                over.request.answered()
                over.request.close()
                return
            else:
                await running.lose(over, error)


class _Field(Generic[Service, Item]):
    """Who runs, and who may still."""

    def __init__(
        self,
        rules: Rules,
        members: Sequence[Member[Service]],
        ask: Callable[[Member[Service]], AsyncIterator[Item]],
        stack: AsyncExitStack,
    ) -> None:
        self.attempts: list[_Attempt[Service, Item]] = []
        self._rules = rules
        self._waiting = deque(members)
        self._ask = ask
        self._stack = stack
        self._changed = asyncio.Event()
        self._failures: list[ServiceError] = []

    async def ask_next(self) -> None:
        """Ask the next one that can be asked. Raises what went wrong when nobody is left to wait for."""
        is_hedge = bool(self.attempts)
        while self._waiting:
            member = self._waiting.popleft()
            try:
                request = member.begin(takes_place=self._rules.takes_place)
            except ServiceUnavailable as error:
                self._failures.append(error)
                continue
            self._stack.callback(request.close)
            attempt = _Attempt(member, request, self._ask(member), self._changed, is_hedge=is_hedge)
            await self._stack.enter_async_context(attempt.items)
            self.attempts.append(attempt)
            if self._failures and not is_hedge:
                self._rules.on_event(FellBack(self._rules.chain, self._rules.role, member.name))
            return
        if not self.attempts:
            assert self._failures, "a chain has members"
            raise next((error for error in reversed(self._failures) if error.retryable), self._failures[-1])

    async def until_news(self) -> None:
        """Return when somebody has given something or is over, or was late and the next has been asked."""
        timeout_s: float | None = None
        if self._waiting:
            newest = self.attempts[-1]
            patience_s = self._rules.next_s if newest.request.has_news else self._rules.first_s
            timeout_s = newest.news_at + patience_s - newest.member.clock()
        self._changed.clear()
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            await self.ask_next()

    def failure_of(self, attempt: _Attempt[Service, Item]) -> ServiceError | None:
        """Why it ended; None: it has said all."""
        failure = attempt.items.failure
        if failure is None or isinstance(failure, ServiceError):
            return failure
        if isinstance(failure, AgentMisuse) or not isinstance(failure, Exception):
            raise failure
        name = attempt.member.name
        if isinstance(failure, AgentError):
            return ServiceUnavailable(name, "could not be asked")
        return ServiceUnavailable(name, f"broke down ({type(failure).__name__})")  # a client's fault, not the call's

    def settle(self, winner: _Attempt[Service, Item]) -> None:
        """It is the one; the others may be asked again for what comes later."""
        if len(self.attempts) == 1:
            return
        position = self.attempts.index(winner)
        for index, attempt in enumerate(self.attempts):
            if attempt is winner:
                continue
            if index < position:
                attempt.request.failed(ServiceLate(attempt.member.name, "was overtaken"))
                self._waiting.append(attempt.member)
            else:
                self._waiting.appendleft(attempt.member)
                self._hedged(attempt, won=False)
            attempt.drop()
        if winner.is_hedge:
            self._hedged(winner, won=True)
            winner.is_hedge = False
        self.attempts = [winner]

    async def lose(self, attempt: _Attempt[Service, Item], error: ServiceError) -> None:
        """It has failed; the next is asked unless another runs already."""
        self._failures.append(error)
        attempt.request.failed(error)
        attempt.drop()
        self.attempts.remove(attempt)
        rules = self._rules
        log.warning("service_lost", chain=rules.chain, service=attempt.member.name, detail=error.detail)
        if attempt.is_hedge:
            self._hedged(attempt, won=False)
        if not self.attempts:
            await self.ask_next()

    def _hedged(self, attempt: _Attempt[Service, Item], *, won: bool) -> None:
        self._rules.on_event(Hedged(self._rules.chain, self._rules.role, attempt.member.name, won))
