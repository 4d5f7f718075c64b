# SPDX-License-Identifier: GPL-3.0-or-later
"""`[[trunk]]`: one connection to a provider or PBX, by its profile and what is set here."""

from typing import Annotated

from pydantic import Field, SecretStr

from gateway.setting_types import HostAndPort, Name
from gateway.trunks.profile import TrunkProfile


class TrunkConfig(TrunkProfile):
    """`[[trunk]]`: a provider or PBX. Every field of its profile may be set here, too, and then wins."""

    name: Name
    host: HostAndPort
    profile: str | None = None
    """A file of sip_profiles (`twilio`)."""
    username: str = ""
    password: SecretStr = SecretStr("")
    register_account: bool = Field(default=False, alias="register")
    """Register with it, so that its calls come to us."""
    outbound: bool = True
    """Calls may go out through it."""
    match: str = ".*"
    """Regular expression that a whole number must match to go out through it."""
    cost: float = 0.0
    """The cheapest that matches and is well comes first; among equals, the one that stands first."""
    allow_destinations: tuple[str, ...] = ()
    """Prefixes of numbers (`+1`, `+44`) that may be dialled. None: all that are not denied."""
    deny_destinations: tuple[str, ...] = ()
    """Prefixes that may not; the longer prefix wins."""
    max_minutes_per_day: Annotated[int, Field(ge=0)] = 0
    """Of outgoing calls, from midnight UTC. 0: no limit."""
