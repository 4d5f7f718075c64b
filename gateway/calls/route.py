# SPDX-License-Identifier: GPL-3.0-or-later
"""`[[route]]`: which calls are meant, and what happens to them."""

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from gateway.setting_types import ExistingFile, FallbackText, Network, Pattern, Section
from gateway.streams.messages import Encoding, ProtocolName, StreamDirection

RouteAction = Literal["agent", "stream", "flow", "echo", "play", "bridge", "reject"]

_ACTION_KEYS: dict[RouteAction, frozenset[str]] = {
    "agent": frozenset({"agent"}),
    "stream": frozenset(
        {
            "stream_url",
            "protocol",
            "codec",
            "direction",
            "sample_rate",
            "track",
            "token",
            "fallback",
            "events",
            "options",
        }
    ),
    "flow": frozenset({"flow_url"}),
    "echo": frozenset(),
    "play": frozenset({"file"}),
    "bridge": frozenset({"to"}),
    "reject": frozenset({"code", "file"}),
}
_ACTION_NEEDS: dict[RouteAction, str] = {"flow": "flow_url", "play": "file", "bridge": "to"}


class RouteConfig(Section):
    """`[[route]]`: what happens to calls; the first that matches wins."""

    match: Pattern = ".*"
    """Regular expression that the whole dialled user part must match."""
    source: Network | None = None
    """Only calls that come from this address or network."""
    trunk: str | None = None
    """Only calls that come through this trunk."""
    action: RouteAction
    agent: str | None = None
    """Action agent: which; may be left out when there is only one."""
    stream_url: str | None = None
    """Action stream: where the backend is, wss://... (ws:// on networks of `outbound.allow`). None: it comes to us, by
    `/api/v1/calls/{id}/stream`; as long as it stays away, it is like one that cannot be reached."""
    protocol: ProtocolName | None = None
    """parley, if not named."""
    codec: Encoding | None = None
    """l16, if not named, or the protocol's own."""
    direction: StreamDirection | None = None
    """bidirectional, if not named. outbound: the backend does not hear the call."""
    sample_rate: int | None = None
    """In Hz; if not named, what the codec usually has."""
    track: Literal["inbound", "outbound", "both"] = "inbound"
    """Whose audio the backend gets: the caller's, what we send, or both, which only protocol twilio tells apart: of the
    others start one stream for each."""
    token: SecretStr | None = None
    """Sent to the backend as `Authorization: Bearer`."""
    fallback: FallbackText = "hangup"
    """When the backend stays away: hangup, agent NAME, or play FILE (WAV, then the call ends)."""
    events: tuple[Literal["speech"], ...] = ()
    """What is told only on demand: when the caller speaks."""
    options: dict[str, str] = Field(default_factory=dict)
    """What one protocol alone has. teler: `chunk_ms`, 20 to 2000. conversationrelay: `agent`, whose voice, ears and
    greeting it gets; `partial_prompts`, true or false. twilio: `account_sid`."""
    flow_url: str | None = None
    """Action flow: who is asked what to do with the call, https://... (http:// on networks of `outbound.allow`)."""
    file: ExistingFile | None = None
    """Action play: a WAV file; then the call is ended. Action reject: heard before the call is refused, unanswered."""
    ringing_file: ExistingFile | None = None
    """With `answer` manual or backend: a WAV file that callers hear over and over until they are answered; None: they
    hear ringing."""
    to: str | None = None
    """Action bridge: a SIP URI, or a number for the trunk. The caller hears ringing until they answer."""
    code: Annotated[int, Field(ge=400, le=699)] = 603
    """Action reject: the SIP status to answer with."""
    answer: Literal["auto", "manual", "backend"] = "auto"
    """`backend`, for action stream: connect while it rings; the backend answers or rejects. `manual`: let it ring until
    the API answers or refuses the call (`POST /calls/{id}/answer`, `hangup`)."""
    answer_timeout_s: Annotated[float, Field(ge=1, le=180)] = 60.0
    """How long a call may ring for that, or for the other side of a bridge; then it is refused with 480."""

    @model_validator(mode="after")
    def _keys_fit_the_action(self) -> "RouteConfig":
        needed = _ACTION_NEEDS.get(self.action)
        if needed is not None and getattr(self, needed) is None:
            raise ValueError(f'action "{self.action}" needs the key {needed}')
        if self.ringing_file is not None and self.answer == "auto":
            raise ValueError('ringing_file needs answer = "manual" or "backend": other calls do not ring')
        every_key = frozenset().union(*_ACTION_KEYS.values())
        foreign = sorted((self.model_fields_set & every_key) - _ACTION_KEYS[self.action])
        if foreign:
            raise ValueError(f'action "{self.action}" has no key {", ".join(foreign)}')
        return self

    def matches(self, dialled_user: str, source_address: str, trunk: str | None) -> bool:
        """Whether a call to this user part, from this IP address, through this trunk (or none) is meant."""
        if self.trunk is not None and self.trunk != trunk:
            return False
        if self.source is not None and not _is_inside(source_address, self.source):
            return False
        return re.fullmatch(self.match, dialled_user) is not None


def _is_inside(address: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(network)
    except ValueError:
        return False
