# SPDX-License-Identifier: GPL-3.0-or-later
"""`/nodes`: the gateways of a cluster (docs/cluster.md)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal, Protocol

from fastapi import APIRouter, Path
from pydantic import BaseModel

from gateway.api.problems import problem_responses
from gateway.errors import NoSuchNode
from gateway.store.records import Record


class NodeInfo(Record):
    """A gateway."""

    node_id: str
    state: Literal["up", "draining", "dead"]
    """draining: it takes no new calls. dead: its heart has stopped, and it has not been cleared away yet."""
    is_here: bool
    """It is the one that answers you."""
    region: str = ""
    sip: str = ""
    """`host:port` of its SIP."""
    http: str = ""
    """Address of its HTTP."""
    calls: int = 0
    capacity: int = 0
    weight: int = 0
    started_at: datetime | None = None
    version: str = ""
    heartbeat_age_ms: int | None = None
    """Since its last sign of life; null: there is none, or Redis does not answer."""


class NodeList(BaseModel):
    """The nodes, by name; none: this gateway is alone."""

    nodes: list[NodeInfo]


class NodeControl(Protocol):
    """What the API needs of the cluster."""

    async def list_nodes(self) -> Sequence[NodeInfo]: ...

    async def drain(self, node_id: str) -> NodeInfo:
        """Of this node. Raises `NoSuchNode`."""
        ...


NodeName = Annotated[str, Path(max_length=64, description="As in the list.")]


def nodes_router(cluster: NodeControl | None) -> APIRouter:
    """The routes over this; None: there is no cluster."""
    router = APIRouter(prefix="/nodes", tags=["cluster"], responses=problem_responses(401))

    @router.get("")
    async def list_nodes() -> NodeList:
        """Who there is, with load and state."""
        return NodeList(nodes=[] if cluster is None else list(await cluster.list_nodes()))

    @router.post("/{node_id}/drain", status_code=202, responses=problem_responses(404, 422, 503, 504))
    async def drain_node(node_id: NodeName) -> NodeInfo:
        """Let a node take no more calls, wait for those it has (`cluster.drain_s`), hand over the rest, and end. Needs
        the scope `admin`."""
        if cluster is None:
            raise NoSuchNode("this gateway is in no cluster")
        return await cluster.drain(node_id)

    return router
