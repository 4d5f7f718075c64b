# SPDX-License-Identifier: GPL-3.0-or-later
"""Which trunk carries an outgoing call: by number, health and cost; and what follows when it fails. Pure."""

import re
from collections.abc import Callable, Iterable

from gateway.trunks.config import TrunkConfig
from gateway.trunks.destinations import SEPARATORS
from gateway.trunks.profile import Transport


def candidates(trunks: Iterable[TrunkConfig], number: str, is_up: Callable[[str], bool]) -> tuple[TrunkConfig, ...]:
    """The trunks for a number, in the order to try them: those that are up, the cheapest, the one that stands first."""
    forms = (number, number.translate(SEPARATORS))
    fitting = [one for one in trunks if one.outbound and any(re.fullmatch(one.match, form) for form in forms)]
    return tuple(sorted(fitting, key=lambda trunk: (not is_up(trunk.name), trunk.cost)))


def hosts(trunk: TrunkConfig) -> tuple[str, ...]:
    """Where its calls go, in order: `host` or `host:port`."""
    return (trunk.host, *trunk.backup_hosts)


def next_hop(trunk: TrunkConfig, host: str) -> tuple[str, Transport]:
    """Where what is for one of its hosts is sent, and how."""
    return (host, trunk.transport) if trunk.outbound_proxy is None else (trunk.outbound_proxy, "udp")


def fails_over(trunk: TrunkConfig, code: int) -> bool:
    """Whether a call that nobody has heard ring yet goes on elsewhere after this final response."""
    return code in trunk.failover_codes


def host_and_port(text: str) -> tuple[str, int]:
    """`sip.example.com:5080` or `[2001:db8::5]:5080` in its two parts; 0: no port is given."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, int(port.removeprefix(":") or 0)
    host, colon, port = text.partition(":")
    return (host, int(port or 0)) if colon else (text, 0)
