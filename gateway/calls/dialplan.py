# SPDX-License-Identifier: GPL-3.0-or-later
"""Where calls go and come from, by the configuration alone. Pure."""

from dataclasses import dataclass, replace

from gateway.errors import BadAddress
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
    return Destination(trunk_uri(trunk, number_of(to), host), trunk.name, host)


def trunk_uri(trunk: TrunkConfig, number: str, host: str) -> str:
    """The request URI of a number as the trunk wants it written, at one of its hosts."""
    # PJSIP takes the transport of our Contact from here.
    is_plain = trunk.transport == "udp" or trunk.outbound_proxy is not None  # the edge knows the trunk's transport
    parameters = "" if is_plain else f";transport={trunk.transport}"
    return str(replace(SipUri.parse(f"sip:{host}"), user=trunk.plan.dialled(number), parameters=parameters))


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
