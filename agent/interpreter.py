# SPDX-License-Identifier: GPL-3.0-or-later
"""Interpreting: what one of two says is said to the other in his language. One agent session for each direction.

    one's audio > speech recognition > turn > Translator > voice > the other's ear

A session hears one leg and plays into the other. Nobody interrupts an interpreter: what is said while a translation is
still heard is translated after it.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext

from agent.config import AgentConfig, InterruptionConfig
from agent.services.llm import Conversation, LanguageModel, Message, ReplyEvent, Silence, TextDelta

_PROMPT = (
    "You interpret a telephone conversation. Say in {target} what the speaker says in {source}: everything, nothing "
    "else, in the same person and tone. Keep names and numbers. Do not answer, explain or add anything."
)
_REMEMBERED = 6
"""Earlier messages that the model sees: enough to know whom "she" means."""


class Translator:
    """A `LanguageModel` that says what was said, in another language."""

    def __init__(self, llm: LanguageModel, source: str, target: str) -> None:
        """`source`, `target`: languages, as the model is to be told (`English`, `es`)."""
        self._llm = llm
        self._prompt = Message("system", _PROMPT.format(source=source, target=target))

    async def reply(self, conversation: Conversation) -> AsyncGenerator[ReplyEvent, None]:
        said = [message for message in conversation.messages if message.role in ("user", "assistant")]
        asked = Conversation((self._prompt, *said[-_REMEMBERED:]), conversation.caller, conversation.metadata)
        words = self._llm.reply(asked)
        is_silent = True
        async with aclosing(words) if isinstance(words, AsyncGenerator) else nullcontext(words) as events:
            async for event in events:
                if isinstance(event, TextDelta):  # an interpreter has no tools
                    is_silent = False
                    yield event
        if is_silent:
            yield Silence()

    async def aclose(self) -> None:
        """Nothing to do: the model belongs to whoever made it."""


def interpreter_config(config: AgentConfig, source: str, voice: str | None) -> AgentConfig:
    """The agent's configuration for a session that hears `source` and only passes on what it hears."""
    return config.model_copy(
        update={
            "greeting": "",
            "prompt": "",
            "tools": (),
            "knowledge": None,
            "language": source,
            "voice": voice,
            "interruption": InterruptionConfig(protected=True),
            "silence": config.silence.model_copy(update={"reprompt_after_s": 0, "max_call_s": 0}),
            "phrases": config.phrases.model_copy(update={"filler": ()}),
        }
    )
