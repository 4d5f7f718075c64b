# SPDX-License-Identifier: GPL-3.0-or-later
"""Several services as one: the next is asked when one fails, or is late, in the middle of a sentence if need be.

    LanguageModelChain, TextToSpeechChain, SpeechToTextChain > race > Member > a service

    member        a service with its circuit breaker (agent.clients.breaker) and limits (agent.clients.limits)
    race          who is asked when, and whose answer counts
    continuation  what the second says is joined to what the first has said
    events        what happened, for metrics

A chain of one member is that service with its breaker and its limits. Where what is done about failures:
a connection that was closed while idle is opened anew by its client; a service that fails is left for the next one
here; when nobody is left, `agent.deadlines.asked_again` asks the whole chain once more, and then the caller is told.
"""

from agent.chains.events import BreakerChanged, ChainEvent, Failed, FellBack, Hedged, OnChainEvent
from agent.chains.llm import LanguageModelChain
from agent.chains.member import Member
from agent.chains.stt import SpeechToTextChain
from agent.chains.tts import TextToSpeechChain

__all__ = [
    "BreakerChanged",
    "ChainEvent",
    "Failed",
    "FellBack",
    "Hedged",
    "LanguageModelChain",
    "Member",
    "OnChainEvent",
    "SpeechToTextChain",
    "TextToSpeechChain",
]
