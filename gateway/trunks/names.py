# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers by name, remembered for as long as DNS allows, and longer when it falls silent."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random, SystemRandom
from types import TracebackType
from typing import Self

import structlog

from gateway.trunks.dns import Family, Question, ServerLookup, Service, Target, in_order
from gateway.trunks.nameserver import Answer, Nameserver, Unanswered
from gateway.trunks.profile import Transport

log = structlog.get_logger(__name__)

_MOST_NAMES = 1024
"""Remembered; beyond that the one not used for longest is forgotten."""
_MOST_LOOKUPS = 256
"""Under way at a time; one more finds nothing. Names in Contact headers are strangers' to choose."""
_TTL_S = (5.0, 3600.0)
"""What DNS says is taken within these bounds."""
_STALE_S = 86_400.0
"""So long after its end an answer is used when DNS does not give another one."""
_RETRY_S = 10.0
"""After DNS did not answer it is left alone for so long."""


@dataclass(frozen=True, slots=True)
class _Key:
    host: str
    port: int
    transport: Transport | None


@dataclass(frozen=True, slots=True)
class _Known:
    services: tuple[Service, ...]
    asked_again_at: float
    """Monotonic seconds, as `useless_at`."""
    useless_at: float


class Names:
    """An async context manager; leaving it ends what is being looked up. Event loop only."""

    def __init__(
        self,
        nameserver: Nameserver,
        *,
        transports: Sequence[Transport] = ("udp", "tcp", "tls"),
        families: Sequence[Family] = (4,),
        random: Random | None = None,
    ) -> None:
        """`transports`: those we have, the wanted first."""
        self._nameserver = nameserver
        self._transports = tuple(transports)
        self._families = tuple(families)
        self._random = SystemRandom() if random is None else random
        self._known: OrderedDict[_Key, _Known] = OrderedDict()
        self._lookups: dict[_Key, asyncio.Task[tuple[Service, ...]]] = {}
        self._tasks: asyncio.TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._tasks is not None
        for task in self._lookups.values():
            task.cancel()
        await self._tasks.__aexit__(None, None, None)
        self._tasks = None

    async def targets(self, host: str, port: int = 0, transport: Transport | None = None) -> tuple[Target, ...]:
        """The servers in the order in which this once they should be tried; none: nobody knows the host."""
        services = self._remembered(_Key(host.lower(), port, transport), asyncio.get_running_loop().time())
        if services is None:
            services = await self._look_up(_Key(host.lower(), port, transport))
        return in_order(services, self._random)

    def ask(
        self, host: str, port: int, transport: Transport | None, answered: Callable[[tuple[Target, ...]], None]
    ) -> None:
        """`targets` for those who cannot wait; `answered` may be called before this returns."""
        key = _Key(host.lower(), port, transport)
        services = self._remembered(key, asyncio.get_running_loop().time())
        if services is not None:
            answered(in_order(services, self._random))
            return
        task = self._begin(key)
        if task is None:
            answered(())
            return
        task.add_done_callback(
            lambda done: answered(() if done.cancelled() or done.exception() else in_order(done.result(), self._random))
        )

    async def _look_up(self, key: _Key) -> tuple[Service, ...]:
        task = self._begin(key)
        if task is None:
            return ()
        # Others wait for it, too: whoever gives up does not end it.
        return await asyncio.shield(task)

    def _begin(self, key: _Key) -> "asyncio.Task[tuple[Service, ...]] | None":
        if (under_way := self._lookups.get(key)) is not None:
            return under_way
        if self._tasks is None or len(self._lookups) >= _MOST_LOOKUPS:
            log.debug("dns_lookup_refused", under_way=len(self._lookups))
            return None
        task = self._lookups[key] = self._tasks.create_task(self._run(key), name="dns-lookup")
        task.add_done_callback(lambda _: self._lookups.pop(key, None))
        return task

    async def _run(self, key: _Key) -> tuple[Service, ...]:
        lookup = ServerLookup(key.host, key.port, key.transport, transports=self._transports, families=self._families)
        ttl_s, silences = _TTL_S[1], 0
        # One silence may be a router that has never heard of SRV; after two there is no DNS.
        while lookup.services is None and silences < 2:
            questions = sorted(lookup.questions, key=str)
            answers = await asyncio.gather(*(self._ask(question) for question in questions))
            silences += None in answers
            for question, answer in zip(questions, answers, strict=True):
                ttl_s = min(ttl_s, _RETRY_S if answer is None else answer.ttl_s)
                lookup.receive(question, () if answer is None else answer.records)
        now = asyncio.get_running_loop().time()
        return self._remember(key, lookup.services or (), max(ttl_s, _TTL_S[0]), now, is_whole=silences == 0)

    async def _ask(self, question: Question) -> Answer | None:
        try:
            return await self._nameserver.ask(question)
        except Unanswered:
            return None
        except Exception:
            # Whatever a stranger's name or a forged answer does to the library: it must not end all other lookups.
            log.exception("dns_fault", kind=question.kind)
            return None

    def _remembered(self, key: _Key, now: float) -> tuple[Service, ...] | None:
        """None: it is to be asked for."""
        known = self._known.get(key)
        if known is None or now >= known.asked_again_at:
            return None
        self._known.move_to_end(key)
        return known.services

    def _remember(
        self, key: _Key, services: tuple[Service, ...], ttl_s: float, now: float, *, is_whole: bool
    ) -> tuple[Service, ...]:
        known = self._known.get(key)
        if not is_whole and known is not None and known.services and now < known.useless_at:
            # Silence is no news: what was true yesterday is the better guess.
            self._known[key] = _Known(known.services, now + _RETRY_S, known.useless_at)
            return known.services
        self._known[key] = _Known(services, now + ttl_s, now + ttl_s + _STALE_S)
        self._known.move_to_end(key)
        while len(self._known) > _MOST_NAMES:
            self._known.popitem(last=False)
        return services
