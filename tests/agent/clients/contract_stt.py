# SPDX-License-Identifier: GPL-3.0-or-later
"""The vendors of streaming speech recognition that keep the contract (tests/agent/clients/test_stt_contract.py)."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.clients.assemblyai import AssemblyAiStt
from agent.clients.azure_stt import AzureStt
from agent.clients.deepgram_stt import deepgram_stt
from agent.clients.hosted_stt import HostedStt
from agent.clients.openai_realtime_stt import OpenAiRealtimeStt
from agent.clients.settings import ServiceSettings
from tests.simulators.assemblyai import AssemblyAiServer
from tests.simulators.azure_stt import AzureSttServer
from tests.simulators.deepgram import DeepgramServer
from tests.simulators.hearing import Recognize
from tests.simulators.openai_realtime_stt import OpenAiRealtimeSttServer
from tests.simulators.websocket_service import WebSocketService


@dataclass(frozen=True)
class SttVendor:
    """A client and the simulator of its service."""

    name: str
    server: Callable[[list[str], Recognize | None], WebSocketService]
    """Made of a script of words, or of a recogniser."""
    client: Callable[[ServiceSettings], HostedStt]
    model: str = ""
    has_partials: bool = True
    times_words: bool = True
    says_ready: bool = True
    """When the service takes audio; the others take it from the beginning."""
    goodbye: str = ""
    """The type of the message that ends a stream; empty: there is none."""

    def settings(self, url: str, key: str = "test-key", timeout_s: float = 10.0) -> ServiceSettings:
        return ServiceSettings(name="ears", url=url, api_key=key, model=self.model, timeout_s=timeout_s)


STT_VENDORS = [
    SttVendor(
        "deepgram nova",
        lambda words, ear: DeepgramServer(words, recognize=ear),
        deepgram_stt,
        says_ready=False,
        goodbye="CloseStream",
    ),
    SttVendor(
        "deepgram flux",
        lambda words, ear: DeepgramServer(words, recognize=ear),
        deepgram_stt,
        model="flux-general-en",
        goodbye="CloseStream",
    ),
    SttVendor(
        "assemblyai", lambda words, ear: AssemblyAiServer(words, recognize=ear), AssemblyAiStt, goodbye="Terminate"
    ),
    SttVendor("azure", lambda words, ear: AzureSttServer(words, recognize=ear), AzureStt, says_ready=False),
    SttVendor(
        "openai realtime",
        lambda words, ear: OpenAiRealtimeSttServer(words, recognize=ear),
        OpenAiRealtimeStt,
        model="gpt-4o-transcribe",
        times_words=False,
    ),
]
