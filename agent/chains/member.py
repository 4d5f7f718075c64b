# SPDX-License-Identifier: GPL-3.0-or-later
"""A service as chains know it: with its circuit breaker and its limits, which all calls and all chains share.

member.begin() > Request > failed | answered > close
"""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

from agent.chains.events import BreakerChanged, Failed, OnChainEvent, Role, cause_of
from agent.clients.backoff import Backoff
from agent.clients.breaker import Breaker
from agent.clients.limits import Limits
from agent.errors import ServiceError, ServiceUnavailable

Service = TypeVar("Service")
Clock = Callable[[], float]


def _nobody_listens(event: object) -> None: ...


class Member(Generic[Service]):
    """One service in one role. Make one for it, and let every chain have the same."""

    def __init__(
        self,
        name: str,
        role: Role,
        service: Service,
        *,
        continues: bool = True,
        limits: Limits | None = None,
        backoff: Backoff | None = None,
        on_event: OnChainEvent = _nobody_listens,
        clock: Clock = time.monotonic,
    ) -> None:
        """`continues`: a language model that can be told what was said already, and goes on from there; the offline
        brain answers by rules and cannot. `backoff`: of the breaker."""
        self.name = name
        self.role: Role = role
        self.service = service
        self.continues = continues
        self.clock = clock
        self._limits = limits or Limits()
        self._on_event = on_event
        self._breaker = Breaker(
            name, backoff=backoff, on_change=lambda state: on_event(BreakerChanged(name, role, state))
        )

    @property
    def is_well(self) -> bool:
        """It may be asked, as far as its breaker is concerned."""
        return self._breaker.may_ask(self.clock())

    def enter(self) -> Callable[[], None]:
        """Take a place, for as long as its limits count us; what is returned gives it back. Raises
        `ServiceUnavailable`, at once, when there is none."""
        if not self._limits.enter(self.clock()):
            self._on_event(Failed(self.name, self.role, "full"))
            raise ServiceUnavailable(self.name, "is asked as much as its limits allow")
        return self._limits.leave

    def begin(self, *, takes_place: bool = True) -> "Request":
        """Ask; to be closed. `takes_place`: see `enter`; what is asked of a stream that has one needs no other. Raises
        `ServiceUnavailable`, at once, when the service is full or rests."""
        if not self.is_well:
            self._on_event(Failed(self.name, self.role, "resting"))
            raise ServiceUnavailable(self.name, "has failed too often to be asked just now")
        leave = self.enter() if takes_place else None
        number = self._breaker.ask(self.clock())
        assert number is not None, "it is well"
        return Request(self.name, self.role, self._breaker, number, leave, self._on_event, self.clock)


class Request:
    """What became of one question."""

    def __init__(
        self,
        name: str,
        role: Role,
        breaker: Breaker,
        number: int,
        leave: Callable[[], None] | None,
        on_event: OnChainEvent,
        clock: Clock,
    ) -> None:
        self._name = name
        self._role: Role = role
        self._breaker = breaker
        self._number = number
        self._leave = leave
        self._on_event = on_event
        self._clock = clock
        self._is_judged = False
        self.has_news = False
        """Something of the answer has come."""

    def answered(self) -> None:
        """All of the answer has come."""
        if not self._is_judged:
            self._is_judged = True
            self._breaker.answered(self._number)

    def failed(self, error: ServiceError) -> None:
        """It will not come. A service that refuses what it is asked is well all the same, as its breaker sees it."""
        if self._is_judged:
            return
        self._is_judged = True
        self._on_event(Failed(self._name, self._role, cause_of(error)))
        if error.retryable:
            rest_s = error.retry_after_s if isinstance(error, ServiceUnavailable) else None
            self._breaker.failed(self._number, self._clock(), rest_s)
        else:
            self._breaker.answered(self._number)

    def close(self) -> None:
        """Nobody waits for it any more. Whoever was still talking is well; of others nothing is known."""
        if not self._is_judged:
            self._is_judged = True
            if self.has_news:
                self._breaker.answered(self._number)
            else:
                self._breaker.abandoned(self._number, self._clock())
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()
