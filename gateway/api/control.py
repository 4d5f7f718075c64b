# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API needs of the calls: a Protocol that the call hub satisfies, and the values that pass."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, Protocol

from pydantic import Field

from gateway.store.records import FROM, Direction, Quality, Record
from media.keys import KeyMethod

CallStateName = Literal["offered", "dialing", "active", "held", "ended"]

RecordingOrder = Literal["start", "pause", "resume", "stop"]
RecordingStateName = Literal["off", "on", "paused", "ended"]


class CallInfo(Record):
    """A call as it is now."""

    call_id: str
    direction: Direction
    from_: str = Field(validation_alias=FROM, serialization_alias="from")
    to: str
    state: CallStateName
    """offered: ringing here; dialing: ringing there; held: by us, the peer or both."""
    started_at: datetime
    answered_at: datetime | None = None
    codec: str | None = None
    """None until audio is negotiated."""
    agent: str | None = None
    muted: bool = False
    """We send silence."""
    recording: RecordingStateName = "off"
    """paused: silence is recorded; ended: a call is recorded once."""
    keys_secret: bool = False
    """Keys that the far end presses are shown as `*`."""
    metadata: dict[str, str] = Field(default={})
    quality: Quality | None = None
    """How it sounds so far; only when one call is asked for, and once it has audio."""


class CallControl(Protocol):
    """The live calls. Who names a call gets `NoSuchCall`, or `WrongCallState` when its state does not fit."""

    async def place(
        self,
        to: str,
        *,
        from_: str | None,
        profile: str | None,
        agent: str | None,
        metadata: Mapping[str, str],
        timeout_s: float,
    ) -> CallInfo:
        """Dial, and return while it rings; `timeout_s` is how long it may.

        `profile` names the trunk to go through, `agent` who talks when it is answered (None: the only one).
        Raises `BadAddress`, `NoSuchAgent`, `NoSuchTrunk`, `TooManyCalls`.
        """
        ...

    async def list(self) -> Sequence[CallInfo]:
        """The calls that are not over, oldest first."""
        ...

    async def get(self, call_id: str) -> CallInfo: ...

    async def hangup(self, call_id: str) -> None:
        """End it, whatever its state."""
        ...

    async def hold(self, call_id: str) -> CallInfo: ...

    async def resume(self, call_id: str) -> CallInfo: ...

    async def mute(self, call_id: str) -> CallInfo: ...

    async def unmute(self, call_id: str) -> CallInfo: ...

    async def record(self, call_id: str, order: RecordingOrder) -> CallInfo:
        """Pausing takes effect before this returns; stopping returns when the file is whole."""
        ...

    async def dtmf(
        self, call_id: str, digits: str, *, method: KeyMethod | None, duration_ms: int, secret: bool
    ) -> None:
        """Send the digits one after the other (`gateway.calls.keypad.Keypad.dial`; None: as the far end takes them)."""
        ...

    async def keep_keys_secret(self, call_id: str, *, secret: bool) -> CallInfo:
        """From now on, show nobody what the far end presses, or show it again."""
        ...
