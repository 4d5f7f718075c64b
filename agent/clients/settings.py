# SPDX-License-Identifier: GPL-3.0-or-later
"""What every client of a hosted service is made of: one `[services.NAME]` table."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """One service. Each client says which of these it reads; empty ones stand for the vendor's own."""

    name: str
    """What errors, logs and metrics call it."""
    model: str = ""
    url: str = ""
    """Where the service is, without the path of the single request; its own or a vendor's, a local server's, a
    simulator's. `wss://`, `https://` and their plain forms; empty: the vendor's."""
    api_key: str = field(default="", repr=False)
    region: str = ""
    voice: str = ""
    language: str = ""
    """What is spoken when an agent does not say; an ISO 639-1 code, or what the service calls it."""
    temperature: float | None = None
    max_tokens: int | None = None
    timeout_s: float = 20.0
    """Without any news from the service, whatever the agent's deadlines say."""
    http2: bool = False
    ca_file: str = ""
    """PEM: who signs the service's certificate, in place of the public authorities (`agent.clients.trust`)."""
    cert_file: str = ""
    """PEM: our own certificate, for services that ask for one; its key is in there too, or in `key_file`."""
    key_file: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with each request and each WebSocket's upgrade."""
    extra: Mapping[str, object] = field(default_factory=dict)
    """More fields of the request (parameters of a WebSocket's URL), or others in place of ours."""
