# SPDX-License-Identifier: GPL-3.0-or-later
"""What a client may ask for: the bodies of requests about calls. What is not named here is refused by field."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, model_validator

from gateway.api.control import MuteSide, RecordingOrder, TransferMode
from gateway.api.numbers import JSON_NUMBER
from gateway.streams.messages import Encoding, ProtocolName, StreamDirection
from media.keys import KEY_MS, MAX_KEY_MS, MIN_KEY_MS

NO_CONTROLS = r"^[^\x00-\x1f\x7f]*$"
_MAX_URL = 2048
_FALLBACK = r"^(hangup|agent( [A-Za-z0-9][A-Za-z0-9_-]{0,63})?)$"
MAX_GAIN = 4.0

Address = Annotated[str, Field(min_length=1, max_length=512, pattern=NO_CONTROLS)]
"""SIP URI, or a number for the trunk."""
_Url = Annotated[str, Field(min_length=1, max_length=_MAX_URL, pattern=r"^[\x21-\x7e]*$")]
MetadataKey = Annotated[str, Field(min_length=1, max_length=64)]
MetadataValue = Annotated[str, Field(max_length=1024)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Field(max_length=50)]
_HeaderName = Annotated[str, Field(pattern=r"^(X-[A-Za-z0-9-]{1,60}|User-to-User)$")]
_HeaderValue = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$")]

_NOT_OURS = {"additionalProperties": False}
CallHeaders = Annotated[dict[_HeaderName, _HeaderValue], Field(max_length=10, json_schema_extra=_NOT_OURS)]
"""`X-...` and `User-to-User` (RFC 7433)."""


class Body(BaseModel):
    """A request's JSON object. Numbers and truth values are taken as such only, not as text that looks like them."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


def _at_most_one(*names: str) -> dict[str, Any]:
    """For `json_schema_extra`: no two of these together; null is as good as absent."""
    given: dict[str, Any] = {"not": {"type": "null"}}
    pairs = [[one, other] for index, one in enumerate(names) for other in names[index + 1 :]]
    return {
        "allOf": [{"not": {"required": pair, "properties": dict.fromkeys(pair, given)}} for pair in pairs],
    }


def _exactly_one(*names: str) -> dict[str, Any]:
    given: dict[str, Any] = {"not": {"type": "null"}}
    return {"oneOf": [{"required": [name], "properties": {name: given}} for name in names]}


def _given(order: BaseModel, *names: str) -> list[str]:
    return [name for name in names if getattr(order, name) is not None]


class StreamOrder(Body):
    """A media stream to a backend (INTERFACES, "Media streaming")."""

    stream_url: _Url | None = None
    """Where the backend listens: wss://, ws:// on allowed networks; audiosocket://HOST:PORT for audiosocket. None: it
    comes to us, by `/api/v1/calls/{id}/stream`."""
    protocol: ProtocolName = "parley"
    codec: Encoding | None = None
    """None: the protocol's own; of `parley` l16."""
    sample_rate: Literal[8000, 16000, 24000, 48000] | None = None
    """In Hz, for l16 and opus; None: what the codec usually has."""
    direction: StreamDirection = "bidirectional"
    """inbound: the caller's audio to the backend; outbound: the backend's to the caller."""
    track: Literal["inbound", "outbound", "both"] = "inbound"
    """Whose audio the backend gets: the caller's, what we send, or both, which only protocol twilio tells apart: of the
    others start one stream for each."""
    metadata: Metadata = {}
    """Told to the backend at its start."""
    token: Annotated[str | None, Field(max_length=4096, pattern=r"^[\x21-\x7e]+$")] = None
    """Sent to the backend as `Authorization: Bearer`."""
    fallback: Annotated[str, Field(pattern=_FALLBACK)] = "hangup"
    """What the caller gets when the backend stays away: `hangup` or `agent NAME`."""
    options: Annotated[dict[MetadataKey, Annotated[str, Field(max_length=128)]], Field(max_length=8)] = {}
    """What one protocol alone has. teler: `chunk_ms`, 20 to 2000. conversationrelay: `agent`, whose voice, ears and
    greeting it gets; `partial_prompts`, true or false. twilio: `account_sid`."""
    events: Annotated[list[Literal["speech"]], Field(max_length=1)] = []
    """What is told only on demand: when the caller speaks."""
    on_end: Literal["hangup", "return"] | None = None
    """When the stream that talks ends: hang up, or give the call back to the agent it was taken from. None: the second
    if there is such an agent."""


class StartStream(StreamOrder):
    """A stream on a call that stands. One that talks takes the call over; others hear it beside whoever talks."""

    call_id: Annotated[str, Field(min_length=1, max_length=128)]


class StopStream(Body):
    """A stream to end."""

    stream_id: Annotated[str, Field(min_length=1, max_length=128)]


class FlowOrder(Body):
    """A Teler call flow: when the call is answered, the URL is asked what to do with it."""

    flow_url: _Url


class PlayOrder(Body):
    """A recording to play: a file or a URL."""

    model_config = ConfigDict(json_schema_extra=_exactly_one("file", "url"))

    file: Annotated[str | None, Field(min_length=1, max_length=512, pattern=NO_CONTROLS)] = None
    """WAV, MP3 or Ogg file in the folder `media.prompts_dir`, by its path there."""
    url: _Url | None = None
    """The same behind https:// (http:// on allowed networks)."""
    loop: Annotated[int, Field(ge=0, le=1000), JSON_NUMBER] = 1
    """How often; 0: until it is stopped."""
    gain: Annotated[float, Field(ge=0, le=MAX_GAIN), JSON_NUMBER] = 1.0
    """Factor of the amplitude."""

    @model_validator(mode="after")
    def _one_source(self) -> "PlayOrder":
        if len(_given(self, "file", "url")) != 1:
            raise ValueError("give either file or url")
        return self


class PlaceCall(Body):
    """A call to place, and who has it when it is answered: an agent, a stream, a flow, or a recording alone."""

    model_config = ConfigDict(json_schema_extra=_at_most_one("agent", "stream", "flow"))

    to: Address
    """SIP URI, or a number for the trunk."""
    from_: Annotated[str | None, Field(validation_alias="from", max_length=512, pattern=NO_CONTROLS)] = None
    """Our address as the far end sees it, a number, or `anonymous`. None: the trunk's number."""
    profile: Annotated[str | None, Field(max_length=64)] = None
    """Name of the trunk to go through; by default the first that takes outgoing calls, for a number."""
    agent: Annotated[str | None, Field(max_length=64)] = None
    """Who talks when it is answered; may be left out when there is only one agent."""
    stream: StreamOrder | None = None
    """In place of an agent: a backend."""
    flow: FlowOrder | None = None
    """In place of an agent: what this URL says."""
    play: PlayOrder | None = None
    """Played first. With no agent, stream or flow named the call ends after it."""
    metadata: Metadata = {}
    """Yours; comes back in the call and its session."""
    headers: CallHeaders = {}
    """More headers for the INVITE: X-... and User-to-User."""
    timeout_s: Annotated[float, Field(ge=1, le=600), JSON_NUMBER] = 60.0
    """How long it may ring."""
    region: Annotated[str | None, Field(max_length=64)] = None
    """In a cluster: a node of this region (`cluster.region`) is to place it, if one has room."""

    @model_validator(mode="after")
    def _one_purpose(self) -> "PlaceCall":
        if len(_given(self, "agent", "stream", "flow")) > 1:
            raise ValueError("give one of agent, stream and flow")
        return self


class HangUpOrder(Body):
    """How to refuse an inbound call that rings."""

    code: Annotated[int | None, Field(ge=400, le=699), JSON_NUMBER] = None
    """SIP status to answer with; only while it rings. None: 603, and a call that stands is ended."""
    reason: Annotated[str, Field(max_length=64, pattern=r"^[\x20-\x7e]*$")] = ""
    """Reason phrase beside the code."""


class MuteOrder(Body):
    """Who is not to be heard."""

    side: MuteSide = "ours"
    """ours: silence is sent in place of what we say. theirs: nobody, neither agent, stream nor recording, hears the far
    end; its keys are heard."""


class SayOrder(Body):
    """Words to speak, with the offline voice."""

    text: Annotated[str, Field(min_length=1, max_length=2000)]
    """Plain text, as a person would write it."""
    voice: Annotated[str | None, Field(max_length=64)] = None
    """None: the usual one."""
    language: Annotated[str | None, Field(max_length=16)] = None
    """None: the voice's; now `en`."""


class StopOrder(Body):
    """What to stop."""

    playback_id: Annotated[str | None, Field(max_length=64)] = None
    """One announcement; None: that which plays, and all that wait."""


class TransferOrder(Body):
    """Where to send the far end."""

    to: Address | None = None
    """Blind: SIP URI, or a number for the trunk."""
    mode: TransferMode = "blind"
    """attended: to the far end of `call_id`, which must be a call of ours that stands."""
    call_id: Annotated[str | None, Field(max_length=128)] = None
    headers: CallHeaders = {}
    """More headers for the REFER: X-... and User-to-User."""
    timeout_s: Annotated[float, Field(ge=1, le=600), JSON_NUMBER] = 60.0
    """How long the far end may take to say how it went."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {
                    "required": ["to"],
                    "properties": {
                        "mode": {"const": "blind"},
                        "to": {"not": {"type": "null"}},
                        "call_id": {"type": "null"},
                    },
                },
                {
                    "required": ["mode", "call_id"],
                    "properties": {
                        "mode": {"const": "attended"},
                        "call_id": {"not": {"type": "null"}},
                        "to": {"type": "null"},
                    },
                },
            ]
        }
    )

    @model_validator(mode="after")
    def _target_fits_the_mode(self) -> "TransferOrder":
        needed, foreign = ("to", "call_id") if self.mode == "blind" else ("call_id", "to")
        if getattr(self, needed) is None or getattr(self, foreign) is not None:
            raise ValueError(f"a transfer that is {self.mode} has {needed}, and no {foreign}")
        return self


class AgentOrder(Body):
    """Who is to have the call."""

    agent: Annotated[str | None, Field(max_length=64)] = None
    """May be left out when there is only one."""


class DtmfOrder(Body):
    """Digits to send."""

    digits: Annotated[str, Field(pattern=r"^[0-9A-D*#,w]{1,64}$")]
    """0-9 * # A-D; a comma waits 2 s, a w half a second."""
    method: Literal["auto", "rfc4733", "info", "inband"] = "auto"
    """auto: as the call's trunk wants it (`dtmf`); without one, or with rfc4733, RFC 4733 events if the far end takes
    them, tones in the audio if not."""
    duration_ms: Annotated[int, Field(ge=MIN_KEY_MS, le=MAX_KEY_MS), JSON_NUMBER] = KEY_MS
    """How long each key is pressed."""
    secret: StrictBool = False
    """Tones of them are left out of the recording. Digits that we send are kept nowhere else."""


class KeysOrder(Body):
    """What happens to keys that the far end presses."""

    secret: StrictBool
    """They are shown as `*`, to the language model and in the record."""


class RecordOrder(Body):
    """What to do with the recording of a call."""

    state: RecordingOrder
    """start: also when `media.record` is off. pause: silence is recorded from now on, for card numbers. resume: sound
    again. stop: for good, a call has one recording."""
