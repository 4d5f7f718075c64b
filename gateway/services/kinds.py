# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of services: which roles each can play, what it needs for that, and the client that does it.

A client is imported when it is made: a gateway without services loads none of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from agent.clients.settings import ServiceSettings

if TYPE_CHECKING:
    from agent.clients.openai_chat import Usage
    from agent.services.llm import LanguageModel
    from agent.services.stt import SpeechToText
    from agent.services.tts import TextToSpeech

Role = Literal["stt", "llm", "tts", "realtime"]
"""What an agent names a service for: the key is `agents.NAME.stt`, `llm`..."""
OnUsage = Callable[["Usage"], None]

ROLES: tuple[Role, ...] = ("stt", "llm", "tts", "realtime")
LOCAL = "local"
CHAIN = "chain"

Client = TypeVar("Client", covariant=True)


@dataclass(frozen=True, slots=True)
class Needs:
    """What has to be set. Keys are those of `[services.NAME]`."""

    model: bool = False
    voice: bool = False
    """There, or by every agent that speaks with it."""
    region_or_url: bool = False
    key: bool = True
    """Unless `url` is set: servers of one's own take none."""


@dataclass(frozen=True, slots=True)
class Offer(Generic[Client]):
    """How a kind plays a role."""

    make: Callable[[ServiceSettings, OnUsage], Client]
    needs: Needs


def _openai_chat(settings: ServiceSettings, on_usage: OnUsage) -> "LanguageModel":
    from agent.clients.openai_chat import OPENAI_URL, ChatSettings, OpenAiChat

    chat = ChatSettings(
        name=settings.name,
        model=settings.model,
        url=settings.url or OPENAI_URL,
        api_key=settings.api_key,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        timeout_s=settings.timeout_s,
        http2=settings.http2,
        headers=settings.headers,
        extra=settings.extra,
    )
    return OpenAiChat(chat, on_usage=on_usage)


STT: Mapping[str, "Offer[SpeechToText]"] = {}
LLM: Mapping[str, "Offer[LanguageModel]"] = {
    "openai": Offer(_openai_chat, Needs(model=True)),
}
TTS: Mapping[str, "Offer[TextToSpeech]"] = {}
REALTIME: Mapping[str, Offer[Any]] = {}

OFFERS: Mapping[Role, Mapping[str, Offer[Any]]] = {"stt": STT, "llm": LLM, "tts": TTS, "realtime": REALTIME}
KINDS: tuple[str, ...] = tuple(sorted({kind for offers in OFFERS.values() for kind in offers}))
"""Those of which there is a client; `chain` is made of others."""


def roles_of(kind: str) -> tuple[Role, ...]:
    """What a service of this kind can be named for."""
    if kind == CHAIN:
        return ROLES[:3]
    return tuple(role for role in ROLES if kind in OFFERS[role])
