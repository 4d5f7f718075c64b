# SPDX-License-Identifier: GPL-3.0-or-later
"""What an agent needs of the outside: Protocols, implemented offline in `agent.local`, hosted in `agent.clients`.

    caller audio > SpeechToText > text > LanguageModel > words > TextToSpeech > our audio
                 > TurnDetector > "has the caller finished?"
    text > ContextSource > what the model should know for this turn

All audio here is signed 16-bit mono numpy arrays with their rate beside them.
"""

from agent.services.context import ContextSource
from agent.services.llm import (
    Cited,
    ContextNote,
    Conversation,
    LanguageModel,
    Message,
    Pause,
    ReplyEvent,
    Silence,
    TextDelta,
    ToolCall,
    ToolSpec,
)
from agent.services.stt import HeardWord, SpeechToText, SttStream, Transcript
from agent.services.tts import SpeechChunk, SpeechStyle, TextToSpeech
from agent.services.turn import TurnDetector

__all__ = [
    "Cited",
    "ContextNote",
    "ContextSource",
    "Conversation",
    "HeardWord",
    "LanguageModel",
    "Message",
    "Pause",
    "ReplyEvent",
    "Silence",
    "SpeechChunk",
    "SpeechStyle",
    "SpeechToText",
    "SttStream",
    "TextDelta",
    "TextToSpeech",
    "ToolCall",
    "ToolSpec",
    "Transcript",
    "TurnDetector",
]
