# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes Kamailio gives calls to, and what has to be changed in its list. Pure.

Kamailio counts the calls of each destination (algorithm 10, `maxload`), and forgets its counts when it reads the list
anew: so destinations are added, removed and disabled one by one, and the file is for its next start. Who has died is
removed, with what was counted for it; who drains, or is full by its own count, is disabled (`d`: Kamailio's pings do
not bring it back), and in-dialog requests go on.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.cluster.node import Node

SET = 1
"""Of Kamailio's dispatcher: the nodes."""
DISABLED = 4
"""Flag in the file and of `dispatcher.add`."""
_WEIGHT_OF_SHARE = 25
"""A node of the usual weight, 50, stands in the list twice, one of 100 four times: algorithm 10 knows no weights."""


_FIRST_PRIORITY = 10


@dataclass(frozen=True, slots=True)
class Destination:
    """A line of the list. A node has one for each share of its weight, told apart by a parameter of the address."""

    uri: str
    duid: str
    """Node, start and share: what died does not count for what comes after it."""
    maxload: int
    is_open: bool

    @property
    def attributes(self) -> str:
        return f"duid={self.duid};maxload={self.maxload}"

    @property
    def priority(self) -> int:
        """First shares stand first: of those with as few calls Kamailio takes the first, and so nodes take turns."""
        return _FIRST_PRIORITY - int(self.duid.rpartition("-")[2])

    @property
    def line(self) -> str:
        return f"{SET} {self.uri} {0 if self.is_open else DISABLED} {self.priority} {self.attributes}"


@dataclass(frozen=True, slots=True)
class Change:
    """An order for Kamailio."""

    what: Literal["add", "remove", "open", "close"]
    destination: Destination


def destinations(nodes: Iterable[Node]) -> tuple[Destination, ...]:
    """The list for these living nodes."""
    found: list[tuple[int, str, Destination]] = []
    for node in nodes:
        shares = max(1, round(node.weight / _WEIGHT_OF_SHARE))
        for share in range(min(shares, node.capacity)):
            # What is left over goes to the first shares.
            room = node.capacity // shares + (share < node.capacity % shares)
            destination = Destination(
                f"sip:{node.sip}" + (f";share={share + 1}" if share else ""),
                f"{node.node_id}-{node.run[:8]}-{share + 1}",
                room,
                node.is_open,
            )
            found.append((share, node.node_id, destination))
    return tuple(destination for _, _, destination in sorted(found, key=lambda one: one[:2]))


def changes(wanted: Iterable[Destination], there: Mapping[str, Destination]) -> Iterator[Change]:
    """What makes Kamailio's list, by address, the one that is wanted; who is new comes first, so that it is never empty
    in between."""
    by_uri = {one.uri: one for one in wanted}
    for uri, one in by_uri.items():
        known = there.get(uri)
        if known is None:
            yield Change("add", one)
        elif (known.duid, known.maxload) != (one.duid, one.maxload):
            yield Change("remove", known)
            yield Change("add", one)
        elif known.is_open != one.is_open:
            yield Change("open" if one.is_open else "close", one)
    for uri, known in there.items():
        if uri not in by_uri:
            yield Change("remove", known)


def list_file(wanted: Iterable[Destination]) -> str:
    """The same as Kamailio reads it when it starts."""
    return "".join(f"{line}\n" for line in ("# Written by `parley edge follow`.", *(one.line for one in wanted)))
