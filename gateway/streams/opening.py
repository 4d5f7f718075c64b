# SPDX-License-Identifier: GPL-3.0-or-later
"""The process's streams, as the configuration wants them."""

import ssl
from collections.abc import Mapping
from pathlib import Path

from gateway.config import Config
from gateway.errors import StartupError
from gateway.events import EventBus
from gateway.guard import OutboundGuard
from gateway.signing import SigningSecret, signature_headers
from gateway.streams.comfort import ComfortSound, noise
from gateway.streams.order import Fallback, StreamOrder
from gateway.streams.reception import Reception
from gateway.streams.stream import StreamLimits, StreamMetrics
from gateway.streams.streams import Agents, Streams
from gateway.streams.tcp import TcpConnector
from gateway.streams.twilio import twilio_signature
from gateway.streams.websocket import WebSocketConnector
from media.wav import read_wav


def open_streams(
    config: Config, agents: Agents, events: EventBus, metrics: StreamMetrics, reception: Reception
) -> Streams:
    """Not entered yet. Raises `StartupError` for files that cannot be read."""
    guard = OutboundGuard(config.outbound.allow)
    stream = config.stream
    upgrade = _Upgrade(
        [SigningSecret.parse(secret.get_secret_value()) for secret in stream.secrets], config.twilio.token
    )
    websocket = WebSocketConnector(guard, upgrade.headers, _tls(stream.ca_file))
    tcp = TcpConnector(guard)
    fallbacks = (Fallback.parse(route.fallback) for route in config.routes)
    files = {fallback.name: read_wav(Path(fallback.name)) for fallback in fallbacks if fallback.kind == "play"}
    return Streams(
        guard,
        {"ws": websocket, "wss": websocket, "audiosocket": tcp, "tcp": tcp, "": reception.connector()},
        agents,
        next(iter(config.agents)),
        files,
        events,
        metrics,
        noise(stream.comfort_dbov) if isinstance(stream.comfort, str) else ComfortSound(*read_wav(stream.comfort)),
        StreamLimits(connect_s=stream.connect_s, reconnect_s=stream.reconnect_s, stuck_s=stream.stuck_s),
        account_sid=config.twilio.account_sid,
    )


class _Upgrade:
    """Signs the requests by which WebSockets are opened."""

    def __init__(self, secrets: list[SigningSecret], twilio_token: str | None) -> None:
        self._secrets = secrets
        self._twilio_token = twilio_token

    def headers(self, call_id: str, order: StreamOrder, wall_time: float) -> Mapping[str, str]:
        headers = signature_headers(self._secrets, call_id, order.url.encode(), wall_time)
        if order.protocol in ("twilio", "conversationrelay") and self._twilio_token is not None:
            headers["X-Twilio-Signature"] = twilio_signature(self._twilio_token, order.url)
        return headers


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except (OSError, ssl.SSLError) as fault:
        raise StartupError(f"stream.ca_file {ca_file}: {fault}") from fault
