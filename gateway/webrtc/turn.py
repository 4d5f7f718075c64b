# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials for a TURN server that shares a secret with us: a name that says until when, and its HMAC as password.

As coturn's `use-auth-secret` has it (draft-uberti-behave-turn-rest-00 section 2.2).
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field

from gateway.webrtc.config import WebRtcConfig

TTL_S = 86_400
_STUN_PORT = 3478


@dataclass(frozen=True, slots=True)
class TurnCredentials:
    """Of one user."""

    username: str
    password: str = field(repr=False)


def turn_credentials(secret: str, user: str, wall_time: float) -> TurnCredentials:
    """Good for `TTL_S` from this time (seconds since the epoch) on."""
    username = f"{round(wall_time) + TTL_S}:{user}"
    digest = hmac.digest(secret.encode(), username.encode(), hashlib.sha1)
    return TurnCredentials(username, base64.b64encode(digest).decode())


def ice_servers(config: WebRtcConfig, user: str, wall_time: float) -> list[dict[str, object]]:
    """What a browser's RTCPeerConnection wants to know, as `iceServers`."""
    servers: list[dict[str, object]] = []
    if config.stun is not None:
        servers.append({"urls": [f"stun:{config.stun}"]})
    if config.turn is not None and config.turn_secret is not None:
        credentials = turn_credentials(config.turn_secret.get_secret_value(), user, wall_time)
        servers.append(
            {
                "urls": [f"turn:{config.turn}?transport=udp", f"turn:{config.turn}?transport=tcp"],
                "username": credentials.username,
                "credential": credentials.password,
            }
        )
    return servers


def host_and_port(text: str) -> tuple[str, int]:
    """Of a STUN or TURN server."""
    host, _, port = text.partition(":")
    return host, int(port or _STUN_PORT)
