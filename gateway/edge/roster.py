# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes are to have calls, from what Redis said of them, now and before. Pure.

its heart beats ---------------------------> it is there
it has stopped, or it took its leave ------> it is not
Redis is silent ---------------------------> as it was
Redis is back, or knows no living node ----> nobody is taken out, until it has been sure of it for a while
"""

from collections.abc import Mapping

from gateway.cluster.node import Node


class Roster:
    """`receive` what Redis says, or `lose` it; then `nodes`."""

    def __init__(self, patience_s: float) -> None:
        """`patience_s`: how long nodes have to say that they live, once Redis is back."""
        self._patience_s = patience_s
        self._nodes: dict[str, Node] = {}
        self._trust_from: float | None = None
        """None: Redis has not been lost, or not been there yet."""
        self.is_reachable = True
        """Redis answered the last time."""
        self.dead = 0
        """Nodes that died and have not been taken from Redis's list."""
        self.is_deserted = False
        """Redis knows of no living node: the list stays what it was, and Kamailio's own pings decide."""

    @property
    def nodes(self) -> tuple[Node, ...]:
        """By their ids."""
        return tuple(self._nodes[one] for one in sorted(self._nodes))

    def receive(self, roll: Mapping[str, Node | None], now: float) -> None:
        """What Redis says."""
        living = {node_id: node for node_id, node in roll.items() if node is not None}
        self.dead = len(roll) - len(living)
        if not self.is_reachable:
            self.is_reachable = True
            self._trust_from = now + self._patience_s
        self.is_deserted = not living
        is_sure = self._trust_from is None or now >= self._trust_from
        if is_sure and living:
            self._nodes = living
        else:
            self._nodes |= living

    def lose(self) -> None:
        """Redis does not answer."""
        self.is_reachable = False
