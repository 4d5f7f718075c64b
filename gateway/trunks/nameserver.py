# SPDX-License-Identifier: GPL-3.0-or-later
"""The door to DNS: dnspython, on the event loop, and what /etc/hosts says before it is asked."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from gateway.trunks.dns import Naptr, Question, Record, Srv

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver

log = structlog.get_logger(__name__)

_NONE_TTL_S = 15.0
"""How long it is believed that there is no such record."""
_HOSTS_TTL_S = 5.0
_PORT = 53


@dataclass(frozen=True, slots=True)
class Answer:
    """What DNS said."""

    records: tuple[Record, ...]
    ttl_s: float


class Unanswered(Exception):
    """DNS did not say, in time or at all. Inside this package only: `Names` makes the best of it."""


class Nameserver(Protocol):
    """Whoever can be asked."""

    async def ask(self, question: Question) -> Answer:
        """No records: there are none. Raises `Unanswered`."""
        ...


class SystemNameserver:
    """The servers of /etc/resolv.conf, with its search list, or those that are named."""

    def __init__(
        self, servers: Sequence[tuple[str, int]] = (), *, timeout_s: float = 3.0, hosts: Path = Path("/etc/hosts")
    ) -> None:
        """`servers`: address and port, 0 for 53."""
        self._servers = tuple(servers)
        self._timeout_s = timeout_s
        self._hosts = hosts
        self._resolver: Resolver | None = None

    async def ask(self, question: Question) -> Answer:
        if question.kind in ("A", "AAAA"):
            known = (await asyncio.to_thread(read_hosts, self._hosts)).get(question.name.lower())
            if known is not None:
                return Answer(tuple(one for one in known if (":" in one) == (question.kind == "AAAA")), _HOSTS_TTL_S)
        if self._resolver is None:
            self._resolver = await asyncio.to_thread(_open_resolver, self._servers, self._timeout_s)
        # Not at the top: it takes a tenth of a second to import, and who dials addresses needs none of it.
        from dns.exception import DNSException
        from dns.resolver import NXDOMAIN, NoAnswer

        try:
            answer = await self._resolver.resolve(question.name, question.kind, search=True)
        except (NXDOMAIN, NoAnswer):
            return Answer((), _NONE_TTL_S)
        except (DNSException, OSError, ValueError) as fault:
            log.debug("dns_unanswered", kind=question.kind, cause=type(fault).__name__)
            raise Unanswered from fault
        ttl_s = float(answer.rrset.ttl) if answer.rrset is not None else _NONE_TTL_S
        return Answer(tuple(_record(one) for one in answer), ttl_s)


def read_hosts(path: Path) -> Mapping[str, tuple[str, ...]]:
    """Names in lower case and their addresses; none when there is no such file (hosts(5))."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for line in lines:
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            found[name.lower()] = (*found.get(name.lower(), ()), address)
    return found


def _open_resolver(servers: Sequence[tuple[str, int]], timeout_s: float) -> "Resolver":
    import dns.asyncresolver
    import dns.nameserver
    import dns.resolver

    try:
        resolver = dns.asyncresolver.Resolver()
    except dns.resolver.NoResolverConfiguration:  # no /etc/resolv.conf, as in a container without a network
        resolver = dns.asyncresolver.Resolver(configure=False)
        servers = servers or (("127.0.0.1", 0),)
    if servers:
        resolver.nameservers = [dns.nameserver.Do53Nameserver(address, port or _PORT) for address, port in servers]
    resolver.timeout, resolver.lifetime = timeout_s / 2, timeout_s
    return resolver


def _record(record: Any) -> Record:
    """From dnspython's types."""
    match record.rdtype.name:
        case "NAPTR":
            return Naptr(
                record.order,
                record.preference,
                record.flags.decode("ascii", "replace"),
                record.service.decode("ascii", "replace"),
                record.replacement.to_text(omit_final_dot=True),
            )
        case "SRV":
            return Srv(record.priority, record.weight, record.port, record.target.to_text(omit_final_dot=True))
        case _:
            return str(record.address)
