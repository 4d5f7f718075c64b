# SPDX-License-Identifier: GPL-3.0-or-later
"""`[webrtc]`: calls from browsers."""

from typing import Annotated

from pydantic import Field, SecretStr, model_validator

from gateway.setting_types import HostAndPort, Ipv4Address, Name, Port, Section, WebOrigin


class WebRtcConfig(Section):
    """`[webrtc]`: calls from browsers (docs/browser.md)."""

    max_calls: Annotated[int, Field(ge=0)] = 100
    """At the same time; one more is answered 503. 0: none are taken."""
    udp_port_min: Port = 0
    """First UDP port for browsers' media, one a call; 0: the system chooses."""
    udp_port_max: Port = 0
    """Last UDP port."""
    public_address: Ipv4Address | None = None
    """Address that browsers outside reach us at, when a router translates ours port by port; None: that of `[sip]`."""
    stun: HostAndPort | None = None
    """A STUN server that browsers, and we, ask for our addresses outside."""
    turn: HostAndPort | None = None
    """A TURN server (coturn) for browsers that reach us by no other way, over UDP or TCP."""
    turn_secret: SecretStr | None = None
    """Its `static-auth-secret`: everybody gets credentials of his own, good for a day. Needed with `turn`."""
    relay_only: bool = False
    """Use the TURN server always, and no address of ours."""
    reconnect_s: Annotated[float, Field(ge=1, le=300)] = 30.0
    """How long a call whose way is lost waits for its browser to find another one."""
    public_agents: tuple[Name, ...] | None = None
    """Agents that `/call` reaches without a key, for everybody who sees the page. None: nobody's but the built-in
    receptionist, as long as no agent is configured and the API listens on this machine alone."""
    calls_per_address: Annotated[int, Field(ge=1)] = 4
    """Of those: calls at the same time, and tokens a minute, of one address."""
    origins: tuple[WebOrigin, ...] = ()
    """Sites that may embed `/call` in a frame, and whose pages may use the API: https://shop.example. Our own as well,
    when a proxy gives it a name and `public_agents` are to be reached there."""

    @model_validator(mode="after")
    def _fits_together(self) -> "WebRtcConfig":
        if self.udp_port_max < self.udp_port_min:
            raise ValueError("udp_port_max must not be below udp_port_min")
        if self.turn is not None and self.turn_secret is None:
            raise ValueError("turn needs turn_secret: the server's static-auth-secret")
        if self.relay_only and self.turn is None:
            raise ValueError("relay_only needs turn")
        return self
