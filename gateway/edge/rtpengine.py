# SPDX-License-Identifier: GPL-3.0-or-later
"""rtpengine's configuration, one file for each relay. Pure. For Debian's 10.5, which runs without its kernel module."""

from gateway.edge.config import RelayConfig


def rtpengine_config(relay: RelayConfig) -> str:
    """The whole file, for `rtpengine --config-file=FILE --config-section=rtpengine`."""
    outside = f"outside/{relay.outside}" + (f"!{relay.public}" if relay.public else "")
    inside = f"inside/{relay.inside or relay.outside}"
    lines = [
        "[rtpengine]",
        "# -1: all packets pass through userspace; Debian's module is not needed.",
        "table = -1",
        f"interface = {outside};{inside}",
        f"listen-ng = {relay.ng}",
        f"port-min = {relay.rtp_port_min}",
        f"port-max = {relay.rtp_port_max}",
        "# A caller behind NAT is found, and a stranger who sprays the port is not taken for one.",
        "endpoint-learning = heuristic",
        "timeout = 120",
        "silent-timeout = 3600",
        "final-timeout = 86400",
        "offer-timeout = 240",
        "tos = 184",
        "delete-delay = 0",
        "log-level = 4",
    ]
    if relay.max_sessions is not None:
        lines.append(f"max-sessions = {relay.max_sessions}")
    if relay.redis is not None:
        lines += [
            "# Calls go on when Redis is away; what is begun meanwhile is not found again after a restart.",
            f"redis = {relay.redis}",
            "no-redis-required = true",
            "redis-allowed-errors = 3",
            "redis-disable-time = 5",
            "redis-cmd-timeout = 200",
            "redis-connect-timeout = 500",
        ]
    return "\n".join(lines) + "\n"


def rtpengine_command(file: str) -> str:
    """What starts it, in the foreground."""
    return f"rtpengine --config-file={file} --config-section=rtpengine --foreground --log-stderr"
