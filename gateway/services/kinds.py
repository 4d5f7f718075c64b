# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of services: which roles each can play, what it needs for that, and the client that does it.

A client is imported when it is made: a gateway without services loads none of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

from agent.clients.settings import ServiceSettings

if TYPE_CHECKING:
    from agent.clients.llm_dialect import Usage

Role = Literal["stt", "llm", "tts", "realtime"]
"""What an agent names a service for: the key is `agents.NAME.stt`, `llm`..."""
OnUsage = Callable[["Usage"], None]

ROLES: tuple[Role, ...] = ("stt", "llm", "tts", "realtime")
LOCAL = "local"
CHAIN = "chain"


@dataclass(frozen=True, slots=True)
class Needs:
    """What has to be set. Keys are those of `[services.NAME]`."""

    model: bool = False
    voice: bool = False
    """There, or by every agent that speaks with it."""
    region: bool = False
    """Or `url`."""
    key: bool = True
    """Or `url`: servers of one's own take none."""


@dataclass(frozen=True, slots=True)
class Offer:
    """How a kind plays a role."""

    client: str
    """`module:class`, under `agent.clients`; made of `ServiceSettings`, a language model with `on_usage`, too."""
    needs: Needs = Needs()

    def load(self) -> Callable[..., Any]:
        module, _, name = self.client.partition(":")
        found: Callable[..., Any] = getattr(import_module(f"agent.clients.{module}"), name)
        return found


OFFERS: Mapping[Role, Mapping[str, Offer]] = {
    "stt": {
        "assemblyai": Offer("assemblyai:AssemblyAiStt"),
        "azure": Offer("azure_stt:AzureStt", Needs(region=True)),
        "deepgram": Offer("deepgram_stt:deepgram_stt"),
        "openai": Offer("openai_transcription:OpenAiTranscription", Needs(model=True)),
        "openai_realtime": Offer("openai_realtime_stt:OpenAiRealtimeStt"),
    },
    "llm": {
        "anthropic": Offer("anthropic:AnthropicMessages", Needs(model=True)),
        "gemini": Offer("gemini:GeminiLlm", Needs(model=True)),
        "openai": Offer("openai_chat:OpenAiChat", Needs(model=True)),
        "openai_responses": Offer("openai_responses:OpenAiResponses", Needs(model=True)),
    },
    "tts": {
        "azure": Offer("azure_tts:AzureTts", Needs(region=True)),
        "cartesia": Offer("cartesia:CartesiaTts", Needs(voice=True)),
        "deepgram": Offer("deepgram_tts:DeepgramTts"),
        "elevenlabs": Offer("elevenlabs:elevenlabs_tts", Needs(voice=True)),
        "openai": Offer("openai_speech:OpenAiSpeech"),
    },
    "realtime": {
        "gemini_live": Offer("gemini_live:GeminiLive"),
        "openai_realtime": Offer("openai_realtime:OpenAiRealtime"),
    },
}
KINDS: tuple[str, ...] = tuple(sorted({kind for offers in OFFERS.values() for kind in offers}))
"""Those of which there is a client; `chain` is made of others."""


def roles_of(kind: str) -> tuple[Role, ...]:
    """What a service of this kind can be named for."""
    if kind == CHAIN:
        return ROLES[:3]
    return tuple(role for role in ROLES if kind in OFFERS[role])


def make_client(kind: str, role: Role, settings: ServiceSettings, on_usage: OnUsage) -> Any:
    """The client. The registry's tests make each of them and look at its methods, which mypy cannot."""
    make = OFFERS[role][kind].load()
    return make(settings, on_usage=on_usage) if role == "llm" else make(settings)
