# SPDX-License-Identifier: GPL-3.0-or-later
"""Where calls go and come from, by the configuration alone. Pure."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from gateway.config import Config
from gateway.errors import BadAddress
from gateway.sip.uri import SipUri, UriError
from gateway.trunks.config import TrunkConfig

_NUMBER_EXTRAS = frozenset("+*#-._")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an INVITE is sent."""

    uri: str
    trunk: str
    """Name of the trunk that carries it; empty for a SIP URI dialled directly."""
    host: str


def is_uri(to: str) -> bool:
    return to.lower().startswith(("sip:", "sips:"))


def uri_of(to: str) -> SipUri:
    """Raises `BadAddress`."""
    try:
        return SipUri.parse(to)
    except UriError as fault:
        raise BadAddress(str(fault)) from fault


def number_of(to: str) -> str:
    """What is dialled, without `tel:`. Raises `BadAddress`."""
    number = to.removeprefix("tel:")
    if not number or not all((one.isascii() and one.isalnum()) or one in _NUMBER_EXTRAS for one in number):
        raise BadAddress(f"{to!r} is neither a SIP URI nor a number")
    return number


def via(trunk: TrunkConfig, to: str, host: str) -> Destination:
    """A number, or a SIP URI as it is, through one host of a trunk. Raises `BadAddress`."""
    if is_uri(to):
        uri = uri_of(to)
        return Destination(str(uri), trunk.name, uri.host)
    number = quote(trunk.plan.dialled(number_of(to)), safe="+*-._")
    # PJSIP takes the transport of our Contact from here.
    parameters = "" if trunk.transport == "udp" else f";transport={trunk.transport}"
    return Destination(f"sip:{number}@{host}{parameters}", trunk.name, host)


def caller_id(from_: str | None, where: Destination, our_address: str) -> str:
    """The From URI of an outbound call; empty leaves it to the account. Raises `BadAddress`."""
    if from_ is None:
        return ""
    text = from_ if ":" in from_ else f"sip:{from_}@{where.host if where.trunk else our_address}"
    try:
        return str(SipUri.parse(text))
    except UriError as fault:
        raise BadAddress(str(fault)) from fault


def trunk_of(config: Config, source_address: str, registrars: Mapping[str, frozenset[str]]) -> str | None:
    """Which trunk a call came through, by where it comes from: a registrar we are registered with, or `allow`."""
    for name, addresses in registrars.items():
        if host_of(source_address) in addresses:
            return name
    try:
        source = ipaddress.ip_address(host_of(source_address))
    except ValueError:
        return None
    for trunk in config.trunk:
        if any(source in ipaddress.ip_network(network) for network in trunk.allow):
            return trunk.name
    return None


def host_of(address: str) -> str:
    """The host of `host:port`, without the brackets of IPv6."""
    return address.rpartition(":")[0].strip("[]")
