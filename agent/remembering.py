# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a caller may be remembered, and how one who is remembered is greeted.

    remember = "on"    > yes, unless the caller refused
    remember = "ask"   > after the first answer that is no question: AskConsent > heard > yes or no > ConsentAnswered
    "Forget me", ever  > Forget: erase what there is, keep nothing of this call, never ask again

`Remembering` is told what was said, once that is settled, and says what to do. It opens nothing.
"""

import re
from dataclasses import dataclass

from agent import cues
from agent.config import MemoryConfig
from agent.recollection import Recollection

_FORGET = re.compile(
    r"(?<!\bi )(?<!n't )(?<!\bnot )(?<!never )\b(?:forget|erase|delete|remove) (?:about )?"
    r"(?:me|my (?:data|name|details|information)|what i (?:said|asked)"
    r"|(?:everything|all) (?:about me|(?:that )?you know)|everything (?:that )?i (?:said|told you))\b"
    r"|(?<!\bi )\b(?:don't|do not|stop) remember(?:ing)? (?:me|anything|what i)\b"
)
_MOST_FORGET_WORDS = 14


@dataclass(frozen=True, slots=True)
class AskConsent:
    """Say this, as soon as nobody speaks."""

    text: str


@dataclass(frozen=True, slots=True)
class ConsentAnswered:
    """The caller has agreed, or refused: keep that."""

    given: bool


@dataclass(frozen=True, slots=True)
class Forget:
    """Erase what is remembered of the caller, keep the refusal, and say so."""

    text: str


RememberingEvent = AskConsent | ConsentAnswered | Forget


class Remembering:
    """One call's."""

    def __init__(self, config: MemoryConfig, consent: bool | None) -> None:
        """`consent`: what the caller has answered before; None: they were never asked."""
        self._config = config
        self._consent = consent
        self._has_asked = False
        self._awaits_answer = False
        self._events: list[RememberingEvent] = []

    @property
    def is_allowed(self) -> bool:
        """Whether this caller may be remembered, as far as is known now."""
        match self._config.remember:
            case "on":
                return self._consent is not False
            case "ask":
                return self._consent is True
            case "off":
                return False

    def receive_agent(self, heard_text: str, *, is_answer: bool) -> None:
        """What was heard of us, at the end of a reply. `is_answer`: to a turn, not an announcement."""
        if self._has_asked and " ".join(self._config.ask.split()[:5]) in heard_text:
            self._awaits_answer = True
        elif (
            is_answer
            and self._config.remember == "ask"
            and self._consent is None
            and not self._has_asked
            and not heard_text.rstrip().endswith("?")
        ):
            self._has_asked = True
            self._events.append(AskConsent(self._config.ask))

    def receive_caller(self, text: str) -> None:
        """What the caller said, once it is being answered."""
        if asks_to_be_forgotten(text):
            self._consent = False
            self._awaits_answer = False
            self._events.append(Forget(self._config.forgotten))
        elif self._awaits_answer:
            self._awaits_answer = False
            answer = cues.yes_or_no(text)
            if answer is not None:
                self._consent = answer
                self._events.append(ConsentAnswered(answer))

    def events(self) -> list[RememberingEvent]:
        """What to do now, in order; drain after each input."""
        events, self._events = self._events, []
        return events


def asks_to_be_forgotten(text: str) -> bool:
    """ "Please forget me", "delete my data" """
    plain = " ".join(re.sub(r"[^\w' ]+", " ", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").lower()).split())
    return plain.count(" ") < _MOST_FORGET_WORDS and _FORGET.search(plain) is not None


def greeting_of(config: MemoryConfig, memory: Recollection) -> str | None:
    """How to greet a caller who is remembered; None: as everybody."""
    if not memory or not config.hello:
        return None
    name, questions = memory.caller_name, memory.questions
    parts = [config.hello.format(name=name) if name else config.hello_unnamed]
    if config.last_time and questions:
        parts.append(config.last_time.format(question=questions[-1]))
    return " ".join(part for part in (*parts, config.how_to_help) if part)
