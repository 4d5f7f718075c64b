# SPDX-License-Identifier: GPL-3.0-or-later
"""Which trunks, and which servers of them, are there: by OPTIONS, by the calls they take, by registration.

    not known, or answers --two OPTIONS unanswered---------> down --an answer--> answers
                          --an INVITE unanswered, or 503---> rests --its time is over, or an answer--> answers

Nothing that is down is never tried: it comes last.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.trunks.config import TrunkConfig

_PROBE_WAIT_S = 5.0
"""How long an OPTIONS may go unanswered, or until the next one."""
_MISSES = 2
_HASTE_S = 10.0
"""A server that does not answer is asked again at least so often, so that it is used again soon."""
_REST_S = (30.0, 300.0)
"""The first rest of a server that failed calls, and the longest: they double."""
_ABSENT = frozenset({408, 502, 503})
"""Of OPTIONS: nothing came in time, there is no address, nobody is there or it wants to be left alone. Every other
response, 404 and 401 included, says that it lives (RFC 3261 section 11.2)."""


@dataclass(frozen=True, slots=True)
class TrunkChanged:
    """A trunk has gone, or is there again."""

    trunk: str
    is_up: bool
    cause: str
    """`options`, `calls`, `registration`, or `rest` when its time is over."""


@dataclass(slots=True)
class _Server:
    misses: int = 0
    is_down: bool = False
    failures: int = 0
    rests_until: float = 0.0

    def is_well(self, now: float) -> bool:
        return not self.is_down and now >= self.rests_until


@dataclass(slots=True)
class _Trunk:
    options_s: float
    due_at: float
    servers: dict[str, _Server] = field(default_factory=dict)
    registered: bool | None = None
    """None: it need not be, or has not been tried yet."""
    was_up: bool = True

    def is_up(self, now: float) -> bool:
        known = self.servers.values()
        return self.registered is not False and (not known or any(one.is_well(now) for one in known))


@dataclass(frozen=True, slots=True)
class TrunkState:
    """What is known of a trunk now."""

    is_up: bool
    registered: bool | None
    servers: Mapping[str, bool]
    """Those heard of, and whether they are well."""


class TrunkHealth:
    """Of every trunk. A server is known by any text that names it alone; those not heard of are well."""

    def __init__(self, trunks: Mapping[str, TrunkConfig], now: float) -> None:
        """`now`: monotonic seconds, as everywhere here."""
        self._trunks = {name: _Trunk(float(trunk.options_s), now) for name, trunk in trunks.items()}
        self._changes: list[TrunkChanged] = []

    def is_up(self, trunk: str, now: float) -> bool:
        """Whether it is worth trying before others."""
        return self._trunks[trunk].is_up(now)

    def is_well(self, trunk: str, server: str, now: float) -> bool:
        """Likewise one of its servers."""
        known = self._trunks[trunk].servers.get(server)
        return known is None or known.is_well(now)

    def state(self, trunk: str, now: float) -> TrunkState:
        """For who looks on."""
        one = self._trunks[trunk]
        servers = {name: server.is_well(now) for name, server in one.servers.items()}
        return TrunkState(one.is_up(now), one.registered, servers)

    def receive_servers(self, trunk: str, servers: tuple[str, ...]) -> None:
        """These are its servers now; what was known of others is forgotten."""
        one = self._trunks[trunk]
        one.servers = {name: one.servers.get(name, _Server()) for name in servers}

    def receive_probe(self, trunk: str, server: str, code: int, now: float) -> None:
        """The response to an OPTIONS, 408 for none."""
        one = self._trunks[trunk].servers.setdefault(server, _Server())
        if code in _ABSENT:
            one.misses += 1
            one.is_down = one.misses >= _MISSES
        else:
            one.misses = one.failures = 0
            one.is_down, one.rests_until = False, 0.0
        self._compare(trunk, "options", now)

    def receive_failure(self, trunk: str, server: str, now: float) -> None:
        """A call did not get through to it: it gets a rest, each longer than the one before."""
        one = self._trunks[trunk].servers.setdefault(server, _Server())
        one.rests_until = now + min(_REST_S[1], _REST_S[0] * 2.0**one.failures)
        one.failures = min(one.failures + 1, 10)
        self._compare(trunk, "calls", now)

    def receive_success(self, trunk: str, server: str, now: float) -> None:
        """It has responded to a call, whatever it said."""
        self._trunks[trunk].servers[server] = _Server()
        self._compare(trunk, "calls", now)

    def receive_registration(self, trunk: str, registered: bool, now: float) -> None:
        """What its registrar says, or that it does not."""
        self._trunks[trunk].registered = registered
        self._compare(trunk, "registration", now)

    def due(self, now: float) -> tuple[str, ...]:
        """Trunks whose servers are to be asked by OPTIONS now; they are due again later."""
        found = []
        for name, one in self._trunks.items():
            if one.options_s and now >= one.due_at:
                found.append(name)
                is_fine = all(server.is_well(now) and not server.misses for server in one.servers.values())
                one.due_at = now + (one.options_s if is_fine else min(one.options_s, _HASTE_S))
        return tuple(found)

    def probe_wait_s(self, trunk: str) -> float:
        """How long to wait for the response to an OPTIONS."""
        return min(_PROBE_WAIT_S, self._trunks[trunk].options_s)

    def hurry(self, trunk: str, now: float) -> None:
        """Something is amiss: ask at the next occasion."""
        self._trunks[trunk].due_at = now

    def handle_timeout(self, now: float) -> None:
        """Rests may be over."""
        for name in self._trunks:
            self._compare(name, "rest", now)

    def changes(self) -> tuple[TrunkChanged, ...]:
        """What has changed since the last time this was asked."""
        changes, self._changes = tuple(self._changes), []
        return changes

    def _compare(self, trunk: str, cause: str, now: float) -> None:
        one = self._trunks[trunk]
        is_up = one.is_up(now)
        if is_up != one.was_up:
            one.was_up = is_up
            self._changes.append(TrunkChanged(trunk, is_up, cause))
