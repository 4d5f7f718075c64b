# SPDX-License-Identifier: GPL-3.0-or-later
"""What another node needs to go on with a call: who talks, what was said, and the dialog."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from gateway.calls.facts import CallFacts
from gateway.sip.dialog import Dialog
from gateway.store.records import Direction


class CallSnapshot(BaseModel):
    """A call as its node last told it."""

    model_config = ConfigDict(frozen=True)

    call_id: str
    direction: Direction
    from_: str
    to: str
    peer: str
    trunk: str
    agent: str | None
    metadata: dict[str, str]
    codec: str | None
    srtp: bool
    started_at: float
    answered_at: float
    far_end: str | None
    far_end_confidence: float | None
    activity: str
    """What it is for: `agent`, `echo`, `stream`, `play`, `bridge`..."""
    history: str | None
    """`History.dump` of the agent that has it."""
    turn_count: int
    dialog: Dialog
    told_at: float
    """When: seconds since the epoch."""
    cause: Literal["death", "drain"] = "death"
    """Why another node is to have it."""
    from_node: str = ""

    def facts(self) -> CallFacts:
        """The call's, as it goes on."""
        return CallFacts(
            call_id=self.call_id,
            direction=self.direction,
            from_=self.from_,
            to=self.to,
            peer=self.peer,
            trunk=self.trunk,
            agent=self.agent,
            metadata=self.metadata,
            codec=self.codec,
            srtp=self.srtp,
            started_at=self.started_at,
            answered_at=self.answered_at,
            far_end=self.far_end,
            far_end_confidence=self.far_end_confidence,
        )
