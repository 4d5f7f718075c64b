# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API needs of the calls: a Protocol that the call hub satisfies, and the values that pass."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import Field

from gateway.store.records import Direction, Quality, Record
from gateway.streams.control import StreamInfo
from media.keys import KeyMethod

if TYPE_CHECKING:
    from gateway.api.orders import HangUpOrder, PlaceCall, PlayOrder, SayOrder, StartStream, TransferOrder

CallStateName = Literal["offered", "dialing", "active", "held", "ended"]

RecordingOrder = Literal["start", "pause", "resume", "stop"]
RecordingStateName = Literal["off", "on", "paused", "ended"]
ActivityKind = Literal["agent", "stream", "echo", "play", "bridge", "supervise", "desk"]
MuteSide = Literal["ours", "theirs"]
TransferMode = Literal["blind", "attended"]
TransferStatus = Literal["trying", "ringing", "completed", "failed"]


class TransferInfo(Record):
    """How a transfer goes, as the far end reports (RFC 3515 section 2.4.5)."""

    to: str
    """Where to: a SIP URI, or the id of our other call."""
    mode: TransferMode
    status: TransferStatus
    sip_code: int | None = None
    """What the far end told last; None: nothing yet, or it fell silent."""


class CallInfo(Record):
    """A call as it is now."""

    call_id: str
    direction: Direction
    from_: str = Field(serialization_alias="from")
    to: str
    state: CallStateName
    """offered: ringing here; dialing: ringing there; held: by us, the peer or both."""
    ringing: bool = False
    """The far end's telephone rings; or ours does, and waits for `answer` or `hangup`."""
    activity: ActivityKind | Literal["none"] = "none"
    """What the call is for at this moment; none: it is not answered, or just over."""
    started_at: datetime
    answered_at: datetime | None = None
    codec: str | None = None
    """None until audio is negotiated."""
    agent: str | None = None
    trunk: str | None = None
    """Name of the trunk that carries it."""
    muted: bool = False
    """We send silence."""
    muted_theirs: bool = False
    """Nobody hears the far end."""
    transfer: TransferInfo | None = None
    """The last one that was asked for."""
    recording: RecordingStateName = "off"
    """paused: silence is recorded; ended: a call is recorded once."""
    keys_secret: bool = False
    """Keys that the far end presses are shown as `*`."""
    metadata: dict[str, str] = Field(default={})
    quality: Quality | None = None
    """How it sounds so far; only when one call is asked for, and once it has audio."""
    node: str | None = None
    """Which node of the cluster has it; None: there is no cluster."""


class Playback(Record):
    """An announcement that was taken on."""

    playback_id: str
    """Names it in the event `playback.finished`, and for `stop`."""
    ahead: int
    """Announcements of this call that come before it."""


class StoppedPlayback(Record):
    """One that was stopped."""

    playback_id: str
    played_ms: int
    """What was really sent; 0: it was waiting for its turn."""


class Stopped(Record):
    """What `stop` ended; nothing, when nothing played."""

    played_ms: int
    """Of all of them."""
    playbacks: list[StoppedPlayback] = Field(default=[])


class CallControl(Protocol):
    """The live calls. Who names a call gets `NoSuchCall`, or `WrongCallState` when its state does not fit."""

    node: str | None
    """Whose they are; None: there is no cluster."""

    async def place(self, order: "PlaceCall") -> CallInfo:
        """Dial, and return while it rings.

        Raises `BadAddress`, `NoSuchAgent`, `NoSuchTrunk`, `BadPrompt`, `UrlError`, `TooManyCalls`.
        """
        ...

    async def list(self) -> Sequence[CallInfo]:
        """The calls that are not over, oldest first."""
        ...

    async def get(self, call_id: str) -> CallInfo: ...

    async def answer(self, call_id: str) -> CallInfo:
        """Answer an inbound call that rings until somebody decides."""
        ...

    async def hangup(self, call_id: str, order: "HangUpOrder | None" = None) -> None:
        """End it, whatever its state; with a code, refuse one that rings."""
        ...

    async def hold(self, call_id: str) -> CallInfo: ...

    async def resume(self, call_id: str) -> CallInfo: ...

    async def mute(self, call_id: str, side: MuteSide, *, muted: bool) -> CallInfo: ...

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

    async def hand_to_agent(self, call_id: str, agent: str | None) -> CallInfo:
        """Whoever has the call loses it to this agent (None: the only one). Raises `NoSuchAgent`."""
        ...

    async def transfer(self, call_id: str, order: "TransferOrder") -> CallInfo:
        """Ask the far end to talk to somebody else; the call says how that goes. Raises `BadAddress`, `NoSuchTrunk`."""
        ...

    async def play(self, call_id: str, order: "PlayOrder") -> Playback:
        """Play a recording over what the call is for, after the announcements before it. Raises `BadPrompt`,
        `UrlError`."""
        ...

    async def say(self, call_id: str, order: "SayOrder") -> Playback:
        """The same with words. Raises `NoSuchVoice`."""
        ...

    async def stop(self, call_id: str, playback_id: str | None) -> Stopped:
        """End one announcement, or all."""
        ...

    async def start_stream(self, order: "StartStream") -> StreamInfo:
        """Raises `BadStreamOrder`, `UrlError` too."""
        ...

    async def stop_stream(self, stream_id: str) -> StreamInfo:
        """Raises `NoSuchStream`."""
        ...

    async def list_streams(self, call_id: str) -> Sequence[StreamInfo]: ...
