# SPDX-License-Identifier: GPL-3.0-or-later
"""The text messages of protocol `parley.v1`, both ways: the one description of them, and its JSON Schema.

Binary messages are audio in the stream's format, and nothing else. The protocol grows by addition alone: whoever reads
must tolerate fields and message types it does not know.
"""

from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, RootModel
from pydantic.json_schema import models_json_schema

from gateway.streams.parley import MAX_MARK_CHARACTERS

SCHEMA_ID = "https://parley.invalid/schema/parley.v1.json"
"""A name, not an address: the gateway serves the schema at `/api/v1/stream/schema`."""


def _tidy(schema: dict[str, Any]) -> None:
    """`type` is what tells messages apart, so it is never left out; titles repeat the names."""
    for field in schema["properties"].values():
        field.pop("title", None)
    if "type" in schema["properties"]:
        del schema["properties"]["type"]["default"]
        schema["required"] = ["type", *schema.get("required", ())]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True, extra="ignore", json_schema_extra=_tidy)


class _Told(_Message):
    seq: Annotated[int, Field(ge=0)]
    """Grows by one with every text message of the sender on this connection."""


class _Ordered(_Message):
    seq: Annotated[int | None, Field(ge=0)] = None
    """Yours, if you count; not needed."""


# Gateway to backend


class AudioFormat(_Message):
    """Audio on the wire, mono."""

    encoding: Literal["l16", "pcmu", "pcma", "g722", "opus"]
    """l16: signed 16-bit, little-endian. opus: one packet in each message."""
    sample_rate: int
    """Hz."""


class StartMessage(_Told):
    """The call's facts: the first message of a connection. Audio follows, once the call is answered."""

    type: Literal["start"] = "start"
    call_id: str
    stream_id: str
    """The same again when the gateway connects anew after a drop."""
    from_: str = Field(validation_alias=AliasChoices("from", "from_"), serialization_alias="from")
    to: str
    direction: Literal["inbound", "outbound", "bidirectional"]
    """Of the audio, as the caller sees it: inbound is the caller's, to you; outbound is yours, to the caller."""
    call_direction: Literal["inbound", "outbound"]
    """inbound: the far end called us."""
    tracks: tuple[Literal["inbound", "outbound"], ...] = ("inbound",)
    """Whose audio you get."""
    format: AudioFormat
    """Of the audio both ways."""
    metadata: dict[str, str] = {}
    """What the call or the stream was started with."""
    consent: str | None = None
    answered: bool = True
    """False: the call rings. Say `answer` or `reject`; audio comes after `answered`."""
    reconnected: bool = False
    """True: the last connection broke, and the call went on."""


class AnsweredMessage(_Told):
    """The call that rang has been answered."""

    type: Literal["answered"] = "answered"


class DtmfMessage(_Told):
    """The caller pressed a key."""

    type: Literal["dtmf"] = "dtmf"
    digit: str
    """One of 0-9 * # A-D."""
    duration_ms: int


class SpeechMessage(_Told):
    """The caller began to speak, or stopped."""

    type: Literal["speech"] = "speech"
    state: Literal["started", "stopped"]
    position_ms: int | None = None
    """Since the stream began."""


class MarkMessage(_Told):
    """All audio before the mark was heard (`played`) or thrown away (`cleared`)."""

    type: Literal["mark"] = "mark"
    name: str
    state: Literal["played", "cleared"]


class ClearedMessage(_Told):
    """The answer to `clear`; it counts the audio since the queue was last empty."""

    type: Literal["cleared"] = "cleared"
    played_ms: int
    """What the caller heard of it."""
    discarded_ms: int
    marks: tuple[str, ...] = ()
    """Those that were thrown away with it; each has its own `mark` message, too."""


class XoffMessage(_Told):
    """The playout queue fills up: stop sending audio until `xon`. What does not fit is thrown away."""

    type: Literal["xoff"] = "xoff"
    queued_ms: int


class XonMessage(_Told):
    """There is room again."""

    type: Literal["xon"] = "xon"
    queued_ms: int


class TransferMessage(_Told):
    """How the transfer that you asked for is doing."""

    type: Literal["transfer"] = "transfer"
    status: str
    """`trying`, `ringing`, `completed` or `failed`."""


class StopMessage(_Told):
    """The stream is over; the last message. The connection is closed after it."""

    type: Literal["stop"] = "stop"
    reason: str


class ErrorMessage(_Told):
    """A message of yours was not understood, or is not possible now. The stream goes on."""

    type: Literal["error"] = "error"
    title: str
    detail: str = ""


# Backend to gateway


class MarkOrder(_Ordered):
    """Tell when all audio sent before this has been heard."""

    type: Literal["mark"] = "mark"
    name: Annotated[str, Field(min_length=1, max_length=MAX_MARK_CHARACTERS)]


class ClearOrder(_Ordered):
    """Fall silent, and forget what is queued. Answered by `cleared`."""

    type: Literal["clear"] = "clear"


class PauseOrder(_Ordered):
    """Fall silent, and keep what is queued."""

    type: Literal["pause"] = "pause"


class ResumeOrder(_Ordered):
    """Go on after `pause`."""

    type: Literal["resume"] = "resume"


class DtmfOrder(_Ordered):
    """Press keys at the far end."""

    type: Literal["dtmf"] = "dtmf"
    digits: Annotated[str, Field(pattern=r"^[0-9A-D*#,w]{1,64}$")]
    """A comma waits 2 s, a w half a second."""


class HangupOrder(_Ordered):
    """End the call."""

    type: Literal["hangup"] = "hangup"


class TransferOrder(_Ordered):
    """Send the caller elsewhere. Answered by `transfer` messages."""

    type: Literal["transfer"] = "transfer"
    to: Annotated[str, Field(min_length=1, max_length=512)]
    """SIP URI, or a number."""
    mode: Literal["blind", "attended"] = "blind"


class MuteOrder(_Ordered):
    """Send the caller silence in place of your audio, or end that."""

    type: Literal["mute"] = "mute"
    muted: bool


class RecordOrder(_Ordered):
    """Govern the recording of the call."""

    type: Literal["record"] = "record"
    state: Literal["start", "pause", "resume", "stop"]


class AnswerOrder(_Ordered):
    """Answer the call that rings."""

    type: Literal["answer"] = "answer"


class RejectOrder(_Ordered):
    """Refuse the call that rings."""

    type: Literal["reject"] = "reject"
    code: Annotated[int, Field(ge=400, le=699)] = 603
    """SIP status."""


GatewayMessage = (
    StartMessage
    | AnsweredMessage
    | DtmfMessage
    | SpeechMessage
    | MarkMessage
    | ClearedMessage
    | XoffMessage
    | XonMessage
    | TransferMessage
    | StopMessage
    | ErrorMessage
)
BackendOrder = (
    MarkOrder
    | ClearOrder
    | PauseOrder
    | ResumeOrder
    | DtmfOrder
    | HangupOrder
    | TransferOrder
    | MuteOrder
    | RecordOrder
    | AnswerOrder
    | RejectOrder
)


class _FromGateway(RootModel[Annotated[GatewayMessage, Field(discriminator="type")]]):
    pass


class _FromBackend(RootModel[Annotated[BackendOrder, Field(discriminator="type")]]):
    pass


def read_gateway_message(text: str | bytes) -> GatewayMessage:
    """What a gateway says, from JSON. Raises `ValueError` (pydantic's `ValidationError`) that names the field."""
    return _FromGateway.model_validate_json(text).root


def read_backend_order(text: str | bytes) -> BackendOrder:
    """What a backend says, from JSON. Raises `ValueError` (pydantic's `ValidationError`) that names the field."""
    return _FromBackend.model_validate_json(text).root


@cache
def parley_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of both directions: `$defs/GatewayMessage` and `$defs/BackendMessage`; the root takes
    either."""
    unions = {"GatewayMessage": GatewayMessage, "BackendMessage": BackendOrder}
    kinds = {name: union.__args__ for name, union in unions.items()}
    _, described = models_json_schema(
        [(kind, "serialization") for every in kinds.values() for kind in every], ref_template="#/$defs/{model}"
    )
    definitions = described["$defs"]
    for name, every in kinds.items():
        definitions[name] = {"oneOf": [{"$ref": f"#/$defs/{kind.__name__}"} for kind in every]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "Parley media streaming, parley.v1",
        "description": "Text messages of the WebSocket; binary messages are audio in the format that start names.",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in unions],
        "$defs": definitions,
    }
