# SPDX-License-Identifier: GPL-3.0-or-later
"""The vendors of speech synthesis that keep the contract (tests/agent/clients/test_tts_contract.py)."""

from collections.abc import Callable
from dataclasses import dataclass

from agent.clients.azure_tts import AzureTts
from agent.clients.cartesia import CartesiaTts
from agent.clients.deepgram_tts import DeepgramTts
from agent.clients.elevenlabs import ElevenLabsTts
from agent.clients.hosted_tts import HostedTts, OnCharacters
from agent.clients.http_tts import HttpTts
from agent.clients.openai_speech import OpenAiSpeech
from agent.clients.settings import ServiceSettings
from tests.simulators.azure_tts import AzureTtsServer
from tests.simulators.cartesia import CartesiaServer
from tests.simulators.deepgram_speak import DeepgramSpeakServer
from tests.simulators.elevenlabs import ElevenLabsHttpServer, ElevenLabsServer
from tests.simulators.http_speech import HttpSpeechService
from tests.simulators.openai_speech import OpenAiSpeechServer
from tests.simulators.speaking import Speech
from tests.simulators.speech_session import SpeechService

TtsClient = HostedTts | HttpTts | ElevenLabsTts
TtsServer = SpeechService | HttpSpeechService


def _of_leg(rate_hz: int) -> int:
    return min(rate_hz, 24_000)


@dataclass(frozen=True)
class TtsVendor:
    """A client and the simulator of its service."""

    name: str
    server: Callable[[Speech], TtsServer]
    client: Callable[[ServiceSettings, OnCharacters | None], TtsClient]
    given_hz: Callable[[int], int] = _of_leg
    """What it renders for a leg of that rate."""
    at_once: int = 1
    """Clauses on a connection at the same time."""
    can_stop: bool = True
    """The service can be told to render no more of a clause."""
    transport: str = ""

    def settings(self, url: str, key: str = "test-key", timeout_s: float = 10.0) -> ServiceSettings:
        extra = {"transport": self.transport} if self.transport else {}
        return ServiceSettings(name="voice", url=url, api_key=key, timeout_s=timeout_s, extra=extra)


TTS_VENDORS = [
    TtsVendor(
        "elevenlabs",
        lambda speech: ElevenLabsServer(speech),
        lambda settings, usage: ElevenLabsTts(settings, on_usage=usage),
        at_once=5,
        can_stop=False,
    ),
    TtsVendor(
        "elevenlabs http",
        lambda speech: ElevenLabsHttpServer(speech),
        lambda settings, usage: ElevenLabsTts(settings, on_usage=usage),
        transport="http",
    ),
    TtsVendor(
        "cartesia",
        lambda speech: CartesiaServer(speech),
        lambda settings, usage: CartesiaTts(settings, on_usage=usage),
        at_once=16,
    ),
    TtsVendor(
        "deepgram aura",
        lambda speech: DeepgramSpeakServer(speech),
        lambda settings, usage: DeepgramTts(settings, on_usage=usage),
    ),
    TtsVendor(
        "openai speech",
        lambda speech: OpenAiSpeechServer(speech),
        lambda settings, usage: OpenAiSpeech(settings, on_usage=usage),
        given_hz=lambda _: 24_000,
    ),
    TtsVendor(
        "azure",
        lambda speech: AzureTtsServer(speech),
        lambda settings, usage: AzureTts(settings, on_usage=usage),
    ),
]
