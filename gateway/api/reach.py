# SPDX-License-Identifier: GPL-3.0-or-later
"""What a key sees and touches: calls, sessions, campaigns and events of some agents, tags or trunks; or all there is.

Several limits hold together. What is out of reach does not exist for the key: 404, and no line in any list. What a key
may do there is another matter (`gateway.api.scopes`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from starlette.requests import HTTPConnection

from gateway.errors import NoSuchAgent, NoSuchTrunk, OutOfReach
from gateway.store.records import KeyLimits

TAGS = "tag"
"""Key of a call's metadata: its tags, separated by commas."""


def tags_of(metadata: Mapping[str, str]) -> frozenset[str]:
    """Of a call."""
    return frozenset(tag.strip() for tag in metadata.get(TAGS, "").split(",") if tag.strip())


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a call or a campaign is."""

    agent: str | None
    trunk: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def tags(self) -> frozenset[str]:
        return tags_of(self.metadata)


@dataclass(frozen=True, slots=True)
class Reach:
    """Of one key. None: not limited in this respect."""

    agents: frozenset[str] | None = None
    tags: frozenset[str] | None = None
    trunks: frozenset[str] | None = None

    @classmethod
    def of(cls, limits: KeyLimits | None) -> "Reach":
        """As the key's record has it."""
        if limits is None:
            return EVERYTHING
        return cls(*(frozenset(one) or None for one in (limits.agents, limits.tags, limits.trunks)))

    @property
    def is_limited(self) -> bool:
        return (self.agents, self.tags, self.trunks) != (None, None, None)

    def covers(self, owner: Owner | None) -> bool:
        """Whether a call or campaign of this owner is within; None: there is none."""
        if not self.is_limited:
            return True
        return (
            owner is not None
            and (self.agents is None or owner.agent in self.agents)
            and (self.tags is None or not self.tags.isdisjoint(owner.tags))
            and (self.trunks is None or owner.trunk in self.trunks)
        )

    def covers_agent(self, name: str | None) -> bool:
        """Whether an agent itself is within: only for keys that are limited by agents."""
        return not self.is_limited or (self.agents is not None and name in self.agents)

    def covers_trunk(self, name: str) -> bool:
        return not self.is_limited or (self.trunks is not None and name in self.trunks)

    # What a key orders must be within afterwards

    def agent_for(self, name: str | None) -> str | None:
        """Who has what is ordered: the one that is named, or the only one there is for this key. Raises `NoSuchAgent`,
        `OutOfReach`."""
        if self.agents is None:
            return name
        if name is None:
            return _only(self.agents, "agent")
        if name not in self.agents:
            raise NoSuchAgent(name)
        return name

    def trunk_for(self, name: str | None) -> str | None:
        """Likewise. Raises `NoSuchTrunk`, `OutOfReach`."""
        if self.trunks is None:
            return name
        if name is None:
            return _only(self.trunks, "trunk")
        if name not in self.trunks:
            raise NoSuchTrunk(name)
        return name

    def metadata_for(self, metadata: Mapping[str, str]) -> dict[str, str]:
        """Likewise, with a tag. Raises `OutOfReach`."""
        if self.tags is None or not self.tags.isdisjoint(tags_of(metadata)):
            return dict(metadata)
        if tags_of(metadata):
            raise OutOfReach("this key is limited to other tags")
        return {**metadata, TAGS: _only(self.tags, "tag, in metadata.tag")}

    def refuse_others(self, what: str) -> None:
        """For what belongs to no agent, tag or trunk. Raises `OutOfReach`."""
        if self.is_limited:
            raise OutOfReach(f"this key is limited to some agents, tags or trunks: {what}")


EVERYTHING = Reach()


def reach_of(connection: HTTPConnection) -> Reach:
    """Of whoever asks. Page tokens and tokens for streams have limits of their own."""
    only = getattr(connection.state, "only", None)
    return EVERYTHING if only is None else Reach.of(KeyLimits.model_validate(only))


def _only(names: Iterable[str], what: str) -> str:
    only, *others = sorted(names)
    if others:
        raise OutOfReach(f"this key is limited to several: name a {what}")
    return only
