# SPDX-License-Identifier: GPL-3.0-or-later
"""Where calls go and come from, by the configuration alone. Pure."""

from dataclasses import dataclass, replace

from gateway.config import Config
from gateway.errors import BadAddress, NoSuchTrunk
from gateway.sip.uri import SipUri, UriError
from gateway.trunks.config import TrunkConfig
from gateway.trunks.identity import Presentation, present

_NUMBER_EXTRAS = frozenset("+*#-._")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an INVITE is sent."""

    uri: str
    trunk: str
    """Name of the trunk that carries it; empty for a SIP URI dialled directly."""
    host: str


def destination(config: Config, to: str, trunk: str | None) -> Destination:
    """A SIP URI is dialled as it is, a number through a trunk. Raises `BadAddress`, `NoSuchTrunk`."""
    if to.lower().startswith(("sip:", "sips:")):
        try:
            uri = SipUri.parse(to)
        except UriError as fault:
            raise BadAddress(str(fault)) from fault
        return Destination(str(uri), "" if trunk is None else _outbound_trunk(config, trunk).name, uri.host)
    number = to.removeprefix("tel:")
    if not number or not all((one.isascii() and one.isalnum()) or one in _NUMBER_EXTRAS for one in number):
        raise BadAddress(f"{to!r} is neither a SIP URI nor a number")
    chosen = _outbound_trunk(config, trunk)
    return Destination(trunk_uri(chosen, number), chosen.name, chosen.host)


def trunk_uri(trunk: TrunkConfig, number: str, host: str | None = None) -> str:
    """The request URI of a number as the trunk wants it written, at its host or another one of it."""
    return str(replace(SipUri.parse(f"sip:{host or trunk.host}"), user=trunk.plan.dialled(number)))


def presentation(
    trunk: TrunkConfig | None, from_: str | None, where: Destination, our_address: str, diverted_from: str = ""
) -> Presentation:
    """What the INVITE says of who calls. `diverted_from`: whom a call that we pass on was for. Raises `BadAddress`."""
    if trunk is None:
        return Presentation(caller_id(from_, where, our_address))
    try:
        return present(trunk, from_, diverted_from=diverted_from)
    except UriError as fault:
        raise BadAddress(str(fault)) from fault


def caller_id(from_: str | None, where: Destination, our_address: str) -> str:
    """The From URI of an outbound call; empty leaves it to the account. Raises `BadAddress`."""
    if from_ is None:
        return ""
    text = from_ if ":" in from_ else f"sip:{from_}@{where.host if where.trunk else our_address}"
    try:
        return str(SipUri.parse(text))
    except UriError as fault:
        raise BadAddress(str(fault)) from fault


def host_of(address: str) -> str:
    """The host of `host:port`, without the brackets of IPv6."""
    return address.rpartition(":")[0].strip("[]")


def _outbound_trunk(config: Config, name: str | None) -> TrunkConfig:
    for trunk in config.trunk:
        if trunk.outbound and name in (None, trunk.name):
            return trunk
    wanted = "trunk" if name is None else f"trunk {name!r}"
    raise NoSuchTrunk(f"there is no {wanted} for outgoing calls: see [[trunk]] in the configuration")
