# SPDX-License-Identifier: GPL-3.0-or-later
"""Which servers a SIP host stands for, by DNS: NAPTR, then SRV, then addresses (RFC 3263, RFC 2782).

`ServerLookup` says what to ask and is told the answers; it opens nothing and knows no clock.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, assert_never

from gateway.errors import GatewayMisuse
from gateway.trunks.profile import Transport

Kind = Literal["NAPTR", "SRV", "A", "AAAA"]
Family = Literal[4, 6]

_MAX_NAPTRS = 8
_MAX_SERVICES = 16
_MAX_ADDRESSES = 8
"""Of what DNS says no more than that is taken, each."""
_USUAL_PORT: dict[Transport, int] = {"udp": 5060, "tcp": 5060, "tls": 5061}
_SRV_PREFIX: dict[Transport, str] = {"udp": "_sip._udp.", "tcp": "_sip._tcp.", "tls": "_sips._tcp."}
_NAPTR_SERVICE: dict[str, Transport] = {"sip+d2u": "udp", "sip+d2t": "tcp", "sips+d2t": "tls"}


@dataclass(frozen=True, slots=True)
class Target:
    """One server."""

    transport: Transport
    address: str
    """IPv4 or IPv6, without brackets."""
    port: int


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask DNS."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Naptr:
    """RFC 3403 section 4.1."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Srv:
    """RFC 2782."""

    priority: int
    weight: int
    port: int
    host: str


Record = Naptr | Srv | str
"""An address is text."""


@dataclass(frozen=True, slots=True)
class Service:
    """Servers under one name; those of the lowest rank and priority come first, of equals by their weights."""

    rank: int
    priority: int
    weight: int
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class _Named:
    """A service whose addresses are not known yet."""

    rank: int
    priority: int
    weight: int
    transport: Transport
    port: int
    host: str


class ServerLookup:
    """One lookup. Ask `questions` and report each answer, until `services` is there."""

    def __init__(
        self,
        host: str,
        port: int = 0,
        transport: Transport | None = None,
        *,
        transports: Sequence[Transport] = ("udp", "tcp", "tls"),
        families: Sequence[Family] = (4,),
    ) -> None:
        """`port` 0 and `transport` None: what the URI leaves open. `transports`: those we have, the wanted first."""
        self._host = host.strip("[]").rstrip(".")
        self._port = port
        self._transports = tuple(transports)
        self._families = tuple(families)
        self._asked: set[Question] = set()
        self._named: list[_Named] = []
        self._addresses: dict[str, list[str]] = {}
        self.services: tuple[Service, ...] | None = None
        """None while there is something to ask; empty: nobody knows the host."""
        self._begin(transport)

    @property
    def questions(self) -> frozenset[Question]:
        """What is to be asked and has no answer yet."""
        return frozenset(self._asked)

    def receive(self, question: Question, records: Iterable[Record]) -> None:
        """An answer; no records: there are none, or nobody told. Raises `GatewayMisuse` when it was not asked."""
        if question not in self._asked:
            raise GatewayMisuse(f"{question} has not been asked")
        self._asked.remove(question)
        match question.kind:
            case "NAPTR":
                self._take_naptrs([one for one in records if isinstance(one, Naptr)])
            case "SRV":
                self._take_services(question.name, [one for one in records if isinstance(one, Srv)])
            case "A" | "AAAA":
                found = self._addresses.setdefault(question.name, [])
                found.extend([one for one in records if isinstance(one, str)][:_MAX_ADDRESSES])
            case _:
                assert_never(question.kind)
        self._maybe_finish()

    def _begin(self, transport: Transport | None) -> None:
        """RFC 3263 sections 4.1 and 4.2."""
        if _is_address(self._host):
            chosen = transport or self._transports[0]
            self.services = (Service(0, 0, 0, (Target(chosen, self._host, self._port or _USUAL_PORT[chosen]),)),)
        elif self._port:
            self._name(_Named(0, 0, 0, transport or self._transports[0], self._port, self._host))
        elif transport is not None:
            self._asked.add(Question(_SRV_PREFIX[transport] + self._host, "SRV"))
            self._ranks = {_SRV_PREFIX[transport] + self._host: (0, transport)}
        else:
            self._asked.add(Question(self._host, "NAPTR"))

    def _take_naptrs(self, records: list[Naptr]) -> None:
        usable = [
            one
            for one in sorted(records, key=lambda one: (one.order, one.preference))
            if one.flags.lower() == "s" and _NAPTR_SERVICE.get(one.service.lower()) in self._transports
        ][:_MAX_NAPTRS]
        if usable:
            names = [(one.replacement.rstrip("."), _NAPTR_SERVICE[one.service.lower()]) for one in usable]
        else:
            names = [(_SRV_PREFIX[one] + self._host, one) for one in self._transports]
        self._ranks = {name: (rank, transport) for rank, (name, transport) in enumerate(names)}
        self._asked.update(Question(name, "SRV") for name in self._ranks)

    def _take_services(self, name: str, records: list[Srv]) -> None:
        rank, transport = self._ranks[name]
        # A single "." is a service that is decidedly not offered (RFC 2782).
        for one in [one for one in records if one.host.rstrip(".") and 0 < one.port < 65536][:_MAX_SERVICES]:
            self._name(_Named(rank, one.priority, one.weight, transport, one.port, one.host.rstrip(".")))
        if not self._named and not any(one.kind == "SRV" for one in self._asked):
            # No SRV at all: the host itself, in the first way that was thought of (section 4.2).
            transport = min(self._ranks.values())[1]
            self._name(_Named(0, 0, 0, transport, _USUAL_PORT[transport], self._host))

    def _name(self, named: _Named) -> None:
        self._named.append(named)
        if _is_address(named.host):
            self._addresses[named.host] = [named.host]
        elif named.host not in self._addresses:
            self._asked.update(Question(named.host, "A" if family == 4 else "AAAA") for family in self._families)

    def _maybe_finish(self) -> None:
        if self._asked:
            return
        services = []
        for one in sorted(self._named, key=lambda one: (one.rank, one.priority)):
            # In the order of our families, whichever answer came first.
            found = sorted(self._addresses.get(one.host, ()), key=lambda text: self._families.index(_family(text)))
            targets = tuple(Target(one.transport, address, one.port) for address in found)
            if targets:
                services.append(Service(one.rank, one.priority, one.weight, targets))
        self.services = tuple(services)


def in_order(services: Iterable[Service], random: Random) -> tuple[Target, ...]:
    """Every server in the order in which one request should try them: drawn anew each time (RFC 2782, "Weight")."""
    groups: dict[tuple[int, int], list[Service]] = {}
    for one in services:
        groups.setdefault((one.rank, one.priority), []).append(one)
    targets: list[Target] = []
    for _, group in sorted(groups.items()):
        left = sorted(group, key=lambda one: one.weight)  # a weight of 0 has its small chance only if it stands first
        while left:
            drawn = random.randint(0, sum(one.weight for one in left))
            for one in left:
                drawn -= one.weight
                if drawn <= 0:
                    break
            left.remove(one)
            targets.extend(one.targets)
    return tuple(dict.fromkeys(targets))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _family(address: str) -> Family:
    return 6 if ":" in address else 4
