# SPDX-License-Identifier: GPL-3.0-or-later
"""`[[trunk]]`: one connection to a provider or PBX, by its profile and what is set here."""

from typing import Annotated

from pydantic import Field, SecretStr

from gateway.setting_types import HostAndPort, Name
from gateway.trunks.profile import TrunkProfile


class TrunkConfig(TrunkProfile):
    """`[[trunk]]`: a provider or PBX. Every field of its profile may be set here, too, and then wins."""

    name: Name
    host: HostAndPort = ""
    """Only empty when there is none, which is a fault."""
    profile: str | None = None
    """A file of sip_profiles (`twilio`), or one of your own (`mine.toml`, from the configuration's folder). What stands
    there and not here holds (`gateway.trunks.profiles`)."""
    number: Annotated[str, Field(pattern=r"^\+?[0-9]{0,20}$")] = ""
    """Ours: who calls, when whoever asks for a call does not say (`+14155550100`)."""
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

    @property
    def registers(self) -> bool:
        """Whether we register with it."""
        return self.register_account or self.auth == "register"

    @property
    def domain(self) -> str:
        """Of our address there."""
        host = self.from_domain or self.host
        return f"{host.partition(']')[0]}]" if host.startswith("[") else host.partition(":")[0]
