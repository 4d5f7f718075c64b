# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the gateway may connect to when a URL comes from outside: server-side request forgery ends here.

    URL > parse (scheme, no user information, port) > resolve once > every address judged > connect to that very address

An address is taken when it is global unicast, or inside the operator's `outbound.allow`. What IPv6 wraps (IPv4-mapped,
NAT64, 6to4, Teredo) is judged by what is inside. Unencrypted schemes lead to allowed networks only. Nothing is
remembered: every connect and every redirect asks again, so a name that changes its mind gains nothing.

Errors name the field of the request and the reason, never the address that a name led to: they would tell strangers
about the inner network.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import SplitResult, urlsplit

from gateway.errors import UrlRefused, UrlUnreachable

_RESOLVE_S = 5.0
_CONNECT_S = 5.0
_MAX_URL_CHARACTERS = 2048
_LOWEST_FREE_PORT = 1024
_WELL_KNOWN_PORTS = frozenset({80, 443})

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NEVER_PUBLIC = (
    ipaddress.IPv4Network("192.0.0.0/24"),  # IETF protocol assignments (RFC 6890), also some clouds' metadata
    ipaddress.IPv4Network("192.88.99.0/24"),  # 6to4 relays (RFC 7526)
    ipaddress.IPv4Network("168.63.129.16/32"),  # Azure's host: public by number only
)


@dataclass(frozen=True, slots=True)
class UrlUse:
    """What a URL is for."""

    field: str
    """Its name in the request or the settings: errors begin with it."""
    schemes: Mapping[str, int | None]
    """Allowed schemes with their default ports; None: the URL must name one."""


def _schemes(**ports: int | None) -> Mapping[str, int | None]:
    return MappingProxyType(ports)


STREAM_URL = UrlUse("stream_url", _schemes(wss=443, ws=80, tcp=None, audiosocket=None))
FLOW_URL = UrlUse("flow_url", _schemes(https=443, http=80))
PLAY_URL = UrlUse("url", _schemes(https=443, http=80))
KNOWLEDGE_URL = UrlUse("knowledge", _schemes(https=443, http=80))
LOOKUP_URL = UrlUse("lookup.url", _schemes(https=443, http=80))
TOOL_URL = UrlUse("tools.url", _schemes(https=443, http=80))
WEBHOOK_URL = UrlUse("webhook.url", _schemes(https=443, http=80))

_ENCRYPTED = frozenset({"wss", "https"})

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
Resolve = Callable[[str, int], Awaitable[Iterable[SocketAddress]]]
"""Socket addresses of a host name or a literal, as `getaddrinfo` gives them. Raises `OSError`."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be connected to, now."""

    url: str
    scheme: str
    host: str
    """As the URL has it: for the Host header and the TLS handshake."""
    port: int
    addresses: tuple[SocketAddress, ...]
    """Where to connect to, best first; no other."""

    @property
    def is_encrypted(self) -> bool:
        return self.scheme in _ENCRYPTED


class OutboundGuard:
    """One for the process."""

    def __init__(self, allow: Iterable[str] = (), resolve: Resolve | None = None) -> None:
        """`allow`: networks (`10.1.0.0/16`) that may be reached although they are not public, in clear as well."""
        self._allow: tuple[IpNetwork, ...] = tuple(ipaddress.ip_network(network) for network in allow)
        self._resolve = resolve or _getaddrinfo

    async def check(self, url: str, use: UrlUse) -> Target:
        """The URL's addresses. Raises `UrlRefused`; `UrlUnreachable` when its name cannot be resolved."""
        parts = _parsed(url, use)
        port = parts.port or use.schemes[parts.scheme]
        if port is None:
            raise UrlRefused(use.field, "needs a port")
        host = parts.hostname or ""
        addresses = await self.addresses(host, port, use, encrypted=parts.scheme in _ENCRYPTED)
        return Target(url, parts.scheme, host, port, addresses)

    async def addresses(self, host: str, port: int, use: UrlUse, *, encrypted: bool) -> tuple[SocketAddress, ...]:
        """Resolve and judge: those that may be connected to. Raises as `check` does."""
        try:
            async with asyncio.timeout(_RESOLVE_S):
                found = list(await self._resolve(host, port))
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError; UnicodeError: no such name can be
            raise UrlUnreachable(use.field, "the host's name cannot be resolved") from error
        if not found:
            raise UrlUnreachable(use.field, "the host's name has no address")
        reasons = {address: self._objection(address, encrypted) for address in found}
        allowed = tuple(address for address, reason in reasons.items() if reason is None)
        if not allowed:
            raise UrlRefused(use.field, next(reason for reason in reasons.values() if reason is not None))
        return allowed

    async def connect(self, url: str, use: UrlUse) -> tuple[Target, socket.socket]:
        """A TCP connection to the URL's host: a non-blocking socket, which the caller closes; TLS is the caller's too.

        Raises as `check` does, and `UrlUnreachable` when nobody answers.
        """
        target = await self.check(url, use)
        loop = asyncio.get_running_loop()
        for address in target.addresses:
            connection = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
            try:
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                async with asyncio.timeout(_CONNECT_S):
                    await loop.sock_connect(connection, address)
            except OSError:
                connection.close()
            except BaseException:
                connection.close()
                raise
            else:
                return target, connection
        raise UrlUnreachable(use.field, "nobody answers there")

    def _objection(self, socket_address: SocketAddress, encrypted: bool) -> str | None:
        address = ipaddress.ip_address(socket_address[0])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        port = socket_address[1]
        if any((mapped or address) in network for network in self._allow):
            return None
        kind = unreachable_kind(address)
        if kind is not None:
            return f"leads to {kind} address; only the operator's list outbound.allow admits those"
        if not encrypted:
            return "is not encrypted: use wss or https (outbound.allow admits networks where it need not be)"
        if port < _LOWEST_FREE_PORT and port not in _WELL_KNOWN_PORTS:
            return f"port {port} is not for this: 80, 443 or 1024 and above (outbound.allow admits networks with all)"
        return None


def unreachable_kind(address: IpAddress) -> str | None:
    """Why no URL of a stranger may lead here: "a private", "a loopback"...; None for a public address."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = _wrapped(address)
        for one in inner:
            kind = unreachable_kind(one)
            if kind is not None:
                return kind
        if inner and (address in _NAT64 or address.ipv4_mapped is not None):
            return None
    if address.is_unspecified:
        return "an unspecified"
    if address.is_loopback:
        return "a loopback"
    if address.is_link_local:
        return "a link-local"
    if address.is_multicast:
        return "a multicast"
    if any(address in network for network in _NEVER_PUBLIC if network.version == address.version):
        return "a reserved"
    if not address.is_global:
        return "a private"
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_UNICAST:
        return "a reserved"
    return None


def _wrapped(address: ipaddress.IPv6Address) -> Sequence[ipaddress.IPv4Address]:
    """IPv4 addresses inside: mapped (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056), Teredo (RFC 4380)."""
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in _NAT64:
        return (ipaddress.IPv4Address(int(address) & 0xFFFFFFFF),)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    return address.teredo or ()


def _parsed(url: str, use: UrlUse) -> SplitResult:
    """The parts of the URL. Only what every parser reads alike is let through (RFC 3986, ASCII)."""
    if len(url) > _MAX_URL_CHARACTERS:
        raise UrlRefused(use.field, f"is longer than {_MAX_URL_CHARACTERS} characters")
    if not url.isascii() or not url.isprintable() or any(character in url for character in ' \\"<>^`{|}'):
        raise UrlRefused(use.field, "has characters that a URL cannot have: write host names in ASCII (xn--...)")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UrlRefused(use.field, "is not a URL") from error
    if parts.scheme not in use.schemes:
        raise UrlRefused(use.field, f"begins with one of {', '.join(f'{scheme}://' for scheme in use.schemes)}")
    if "@" in parts.netloc:
        raise UrlRefused(use.field, "has a user name or password in it")
    if not parts.hostname or "%" in parts.netloc:
        raise UrlRefused(use.field, "has no host name")
    if port == 0:
        raise UrlRefused(use.field, "port 0 is none")
    if parts.fragment:
        raise UrlRefused(use.field, "has a fragment (#), which is never sent")
    return parts


async def _getaddrinfo(host: str, port: int) -> list[SocketAddress]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [address for *_, address in found]
