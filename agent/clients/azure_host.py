# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Azure Speech is: in a region, or where `url` says (a private endpoint, a container on premises)."""

from typing import Literal

from agent.clients.settings import ServiceSettings
from agent.errors import ServiceRejected


def azure_host(settings: ServiceSettings, service: Literal["stt", "tts"]) -> str:
    """`https://REGION.stt.speech.microsoft.com`. Raises `ServiceRejected`: nothing says where."""
    if settings.url:
        return settings.url
    if not settings.region:
        raise ServiceRejected(settings.name, "needs a region, or a url")
    return f"https://{settings.region}.{service}.speech.microsoft.com"
