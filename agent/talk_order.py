# SPDX-License-Identifier: GPL-3.0-or-later
"""What a speech-to-speech service is told when a call's conversation is opened."""

from agent.config import AgentConfig
from agent.conversation import History
from agent.services.llm import ToolSpec
from agent.services.realtime import TalkOrder

_SPEAKERS = {"user": "Caller", "assistant": "You"}


def talk_order(
    config: AgentConfig, sample_rate_hz: int, history: History, tools: tuple[ToolSpec, ...], greeting: str
) -> TalkOrder:
    """What a call's conversation is opened for: the prompt, what is remembered of the caller, and what was said on
    this call already."""
    now = history.snapshot()
    parts = [message.text for message in now.messages if message.role == "system"]
    parts += [note.text for note in now.notes]
    said = [
        f"{_SPEAKERS[message.role]}: {message.text}"
        for message in now.messages
        if message.role in _SPEAKERS and message.text
    ]
    if said:
        parts.append("\n".join(("So far on this call:", *said)))
    instructions = "\n\n".join(parts)
    return TalkOrder(sample_rate_hz, instructions, config.voice or "", config.language, tools, greeting)
