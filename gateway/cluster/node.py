# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node of a cluster says of itself with every heartbeat."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

NodeState = Literal["up", "draining"]


class Node(BaseModel):
    """A gateway as the others see it: JSON in Redis under `node_key`, for as long as its heart beats."""

    model_config = ConfigDict(frozen=True)

    node_id: str
    run: str
    """Random, another one at each start: a node that came back is not the one that died."""
    region: str
    sip: str
    """`host:port` of its SIP over UDP, for Kamailio and the other nodes."""
    http: str
    """Address of its HTTP, for people and the other nodes: `http://10.0.0.5:8080`."""
    capacity: int
    """Calls it takes at most."""
    calls: int
    """Calls it has."""
    weight: int
    state: NodeState
    started_at: datetime
    version: str

    @property
    def is_open(self) -> bool:
        """It takes new calls."""
        return self.state == "up" and self.calls < self.capacity

    @property
    def share(self) -> float:
        """How full it is: 0 to 1."""
        return self.calls / self.capacity
