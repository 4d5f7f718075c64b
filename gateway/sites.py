# SPDX-License-Identifier: GPL-3.0-or-later
"""Whom limits by address are for: whoever has one IPv6 address has a whole network of them."""

import ipaddress

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def address_of(source: str) -> IpAddress | None:
    """IPv4 mapped into IPv6 as IPv4; None: it is no address."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def site_of(source: str) -> str:
    """What limits go by: an IPv4 address, or the /64 of IPv6, whose owner has all of it."""
    address = address_of(source)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    return source if address is None else str(address)
