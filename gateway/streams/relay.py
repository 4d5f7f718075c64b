# SPDX-License-Identifier: GPL-3.0-or-later
"""A text backend in an agent's place: its words are said as they come, what the caller says is sent to it.

    AgentSession > reply(conversation) > prompt > backend > text tokens > talk > words > AgentSession > TTS
    AgentSession > event > interrupt, with what was really heard

A *talk* is what the backend says up to its `last` token. It answers a prompt, or nobody asked for it: then it is said
as soon as nobody speaks. When a talk is cut short, what is still on its way of it belongs to the past: it is dropped
until its `last` token or our next prompt.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Protocol

from agent.config import AgentConfig
from agent.errors import AgentMisuse
from agent.events import AgentEvent, ReplyFinished, ReplyInterrupted, TranscriptPartial, TurnReopened
from agent.services.llm import Conversation, ReplyEvent, Silence, TextDelta
from gateway.streams.conversationrelay import (
    EndSession,
    Interruptible,
    PlayMedia,
    SwitchLanguage,
    TextToken,
    dtmf,
    error,
    interrupt,
    parse,
    prompt,
)
from gateway.streams.messages import Malformed, SendKeys, WireMessage

_ANSWER_WAIT_S = 20.0
"""A prompt that is not answered by then is not answered; the caller could speak all the while."""
_PAUSE_S = 1.5
"""A talk without a `last` token is taken for whole when nothing has come for so long; the rest is a talk of its own."""
_MOST_CHARACTERS = 64 * 1024
"""Of one talk that waits to be said; more is refused with an error."""

RelayOrder = SendKeys | PlayMedia | EndSession
"""What is left for the call to do."""


_INTERRUPTION = {"resume": False, "policy": "duration", "confirm_ms": 128, "at_onset": "duck", "adaptive": False}
"""As the protocol has it: speech interrupts, whatever its words; the backend says what comes then."""


def relay_config(config: AgentConfig) -> AgentConfig:
    """An agent's configuration for a backend that decides itself when it answers, what it says after a sound or to
    silence, and when the call ends."""
    return config.model_copy(
        update={
            "silence": config.silence.model_copy(update={"reprompt_after_s": 0, "max_call_s": 0}),
            "interruption": config.interruption.model_copy(update=_INTERRUPTION),
            "speculation": config.speculation.model_copy(update={"mode": "off"}),  # it gets whole turns
            "deadlines": config.deadlines.model_copy(update={"llm_first_token_ms": 60_000, "llm_stall_ms": 60_000}),
            "phrases": config.phrases.model_copy(update={"filler": ()}),  # it may have nothing to say, or much to do
        }
    )


class RelaySession(Protocol):
    """What is needed of an `AgentSession`."""

    def say_words(self, words: AsyncGenerator[ReplyEvent, None]) -> None: ...

    def stop_speaking(self) -> None: ...

    def let_interrupt(self, allowed: bool) -> None: ...


class RelayConversation:
    """One connection's conversation. It is the `LanguageModel` of the call's session, and follows its events."""

    def __init__(
        self,
        send: Callable[[str], None],
        *,
        language: str = "en",
        interruptible: Interruptible = "any",
        partial_prompts: bool = False,
        redact: Callable[[str], str] = lambda text: text,
    ) -> None:
        """`redact`: what the backend may read of what is said."""
        self._send = send
        self._language = language
        self._default = interruptible
        self._interruptible = interruptible
        self._partial_prompts = partial_prompts
        self._redact = redact
        self._session: RelaySession | None = None
        self._talk: _Talk | None = None
        """To which tokens belong that come now."""
        self._spoken: _Talk | None = None
        """Which the session is saying."""
        self._unspoken: list[_Talk] = []
        """Which wait until nobody speaks: the session refuses more than eight."""
        self._is_dropping = False
        """Tokens that come now belong to a talk that was cut short."""
        self._is_preempting = False
        self._silence = asyncio.Event()
        self._silence.set()
        self._prompted: list[str] = []
        """The words of the last prompt."""
        self._is_reopened = False
        """The turn of that prompt was not over after all."""

    def attach(self, session: RelaySession) -> None:
        """The session whose language model this is."""
        self._session = session

    async def until_quiet(self) -> None:
        """Until nothing of the backend's is being said, or waits to be."""
        await self._silence.wait()

    # From the backend

    def receive(self, message: WireMessage) -> list[RelayOrder]:
        """Take a message; what it asks of the call is returned."""
        parsed = parse(message)
        match parsed:
            case TextToken():
                self._receive_token(parsed)
            case SwitchLanguage():
                self._receive_language(parsed)
            case Malformed(detail):
                self._send(error(f"Invalid message: {detail}"))
            case SendKeys() | PlayMedia() | EndSession():
                if self._talk is not None and self._talk.is_unbegun:
                    self._talk.end()  # this is the answer
                return [parsed]
            case None:
                self._send(error("Invalid message: unknown type"))
        return []

    def _receive_token(self, token: TextToken) -> None:
        if self._is_dropping:
            self._is_dropping = not token.last
            return
        talk = self._talk
        if talk is None or talk.is_whole:
            talk = self._begin_talk(token)
        if talk is not None and not talk.push(token):
            self._send(error("Too much text is waiting to be said"))

    def _begin_talk(self, first: TextToken) -> "_Talk | None":
        """A talk that nobody asked for."""
        assert self._session is not None, "messages come after the session is attached"
        if self._spoken is not None and self._spoken.preemptible:
            self._is_preempting = True
            self._session.stop_speaking()
            self._is_preempting = False
        talk = _Talk(first.preemptible)
        try:
            self._session.say_words(self._words(talk))
        except AgentMisuse:
            self._send(error("Too much text is waiting to be said"))
            return None
        self._unspoken.append(talk)
        self._talk = talk
        self._silence.clear()
        return talk

    def _receive_language(self, wanted: SwitchLanguage) -> None:
        for tag in (wanted.tts_language, wanted.transcription_language):
            if tag and tag.partition("-")[0].lower() != self._language:
                self._send(error(f"Only the language {self._language} is available"))
                return

    # From the session

    async def reply(self, conversation: Conversation) -> AsyncGenerator[ReplyEvent, None]:
        """Prompt the backend; its words until the talk is over."""
        if self._talk is not None:
            self._talk.end()
        self._is_dropping = False
        self._talk = _Talk()
        self._prompt(conversation.messages[-1].text)
        async for event in self._words(self._talk):
            yield event

    async def aclose(self) -> None:
        """Nothing to do: the connection belongs to whoever opened it."""

    def follow(self, event: AgentEvent) -> None:
        """Take an event of the session."""
        match event:
            case ReplyInterrupted():
                self._cut_short(event.heard_text, round((event.ended_at - event.started_at) * 1000))
            case TurnReopened():
                self._is_reopened = True
                self._cut_short("", 0)
            case ReplyFinished():
                self._said()
            case TranscriptPartial(_, text) if self._partial_prompts:
                self._send(prompt(self._redact(text), self._language, last=False))
            case _:
                pass

    def receive_digit(self, digit: str) -> None:
        """A key of the caller's."""
        self._send(dtmf(digit))
        if self._session is not None and self._interruptible in ("dtmf", "any"):
            self._session.stop_speaking()

    def _prompt(self, text: str) -> None:
        """Of a turn that was reopened, the backend knows the beginning already."""
        words = text.split()
        known = len(self._prompted)
        if self._is_reopened and known < len(words) and _plain(words[:known]) == _plain(self._prompted):
            text = " ".join(words[known:])
        self._is_reopened = False
        self._prompted = words
        self._send(prompt(self._redact(text), self._language, last=True))

    def _cut_short(self, heard_text: str, heard_ms: int) -> None:
        """The caller broke in, or a later talk did; what waited behind it is out of date too."""
        if not self._is_preempting:
            self._send(interrupt(self._redact(heard_text), heard_ms))
        spoken, self._spoken = self._spoken, None
        if spoken is not None:
            spoken.is_cut = True
        for talk in (spoken, *self._unspoken):
            if talk is not None:
                if talk is self._talk and not talk.is_whole:
                    self._is_dropping = True
                talk.drop()
        self._silence.set()

    def _said(self) -> None:
        self._spoken = None
        if not self._unspoken:
            self._silence.set()

    async def _words(self, talk: "_Talk") -> AsyncGenerator[ReplyEvent, None]:
        """The talk as the session wants it: a silent one is no failure."""
        if talk in self._unspoken:
            self._unspoken.remove(talk)
        self._spoken = talk
        self._let_interrupt(self._default)
        is_complete = is_said = False
        try:
            while (token := await talk.next()) is not None:
                if token.interruptible is not None:
                    self._let_interrupt(token.interruptible)
                is_said = True
                self._silence.clear()
                yield TextDelta(token.token)
            yield Silence()
            is_complete = True
            if not is_said:
                self._said()
        finally:
            if not is_complete and not talk.is_cut:  # withdrawn, before anything of it was heard
                self._cut_short("", 0)

    def _let_interrupt(self, by: Interruptible) -> None:
        self._interruptible = by
        if self._session is not None:
            self._session.let_interrupt(by in ("speech", "any"))


class _Talk:
    """Tokens on their way from the backend to the session."""

    def __init__(self, preemptible: bool = False) -> None:
        self.preemptible = preemptible
        self.is_whole = False
        """No more tokens belong to it."""
        self.is_cut = False
        """The backend has been told that it was cut short."""
        self._tokens: deque[TextToken] = deque()
        """At most `_MOST_CHARACTERS` in all; `push` refuses more."""
        self._characters = 0
        self._wait_s = _ANSWER_WAIT_S
        self._changed = asyncio.Event()
        self.is_unbegun = True
        """No token has come."""

    def push(self, token: TextToken) -> bool:
        """False: there is no room for it."""
        self.is_whole, self.is_unbegun = token.last, False
        self._changed.set()
        if self._characters + len(token.token) > _MOST_CHARACTERS:
            return False
        self._characters += len(token.token)
        self._tokens.append(token)
        return True

    def end(self) -> None:
        self.is_whole = True
        self._changed.set()

    def drop(self) -> None:
        self._tokens.clear()
        self.end()

    async def next(self) -> TextToken | None:
        """The next token; None after the last."""
        while not self._tokens and not self.is_whole:
            self._changed.clear()
            try:
                async with asyncio.timeout(self._wait_s):
                    await self._changed.wait()
            except TimeoutError:
                self.is_whole = True
        self._wait_s = _PAUSE_S
        if not self._tokens:
            return None
        token = self._tokens.popleft()
        self._characters -= len(token.token)
        return token


def _plain(words: list[str]) -> list[str]:
    """For comparing: a recogniser that hears more may change its mind about commas and capitals."""
    return ["".join(letter for letter in word.casefold() if letter.isalnum()) for word in words]
