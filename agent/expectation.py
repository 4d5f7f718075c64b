# SPDX-License-Identifier: GPL-3.0-or-later
"""What kind of answer the caller's next turn is expected to be: it decides what counts as finished.

Set by the agent's configuration (`turn.expect`), read off our own question where that is plain (`expected_by`), and for
one turn by whoever knows better: a tool, the API (`AgentSession.expect`). The later of these overrules the earlier.
"""

import re
from dataclasses import dataclass
from typing import Literal

ExpectedKind = Literal["free", "digits", "email", "spelling", "yes_no", "date"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """One kind of answer. A caller may still say anything; then the rules of free speech hold."""

    kind: ExpectedKind = "free"
    length: int | None = None
    """`digits` and `spelling`: so many of them are a whole answer. `date`: 3, if it has a year. None: unknown."""
    terminator: str | None = None
    """`digits`: the word or key that ends them (`pound`, `#`), when the caller was told one."""


FREE = Expectation()

# The last sentence of what we said decides, and only if it asks.
_ASKS_SPELLING = re.compile(r"\bspell\b")
_ASKS_EMAIL = re.compile(r"\be ?mail(?: address)?\b")
_ASKS_DIGITS = re.compile(
    r"\b(?:your|the|a|an|that|which|what)(?: \w+){0,3} (?:number|pin|code|postcode|digits)\b"
    r"|\b(?:reach|call) you (?:at|on)\b"
)
_ASKS_DATE = re.compile(
    r"\b(?:what|which) (?:day|date|time)\b|\bdate of birth\b|\bbirth ?(?:day|date)\b"
    r"|\bwhen (?:would|were|was|do|can|should|is)\b"
)
_ASKS_FOR_IT = re.compile(
    r"\b(?:what|which|could|can|may|would you|please|tell|give|say|spell|repeat|how|when|enter)\b"
)
_ASKS_YES_NO = re.compile(
    r"(?:(?:so|and|or|then|okay|sorry|please|well) )*"
    r"(?:is|are|am|was|were|do|does|did|have|has|had|will|would|shall|should|can|could|may)\b.*"
)
_OPEN_QUESTION = re.compile(r"\b(?:else|what|which|when|where|who|how|why|or|tell|give|say|spell|repeat)\b")
_LENGTH = re.compile(r"\b(\d{1,2}|three|four|five|six|seven|eight|nine|ten|twelve|sixteen)[ -]digits?\b")
_NUMBERS = {
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "twelve": 12,
    "sixteen": 16,
}
_TERMINATOR = re.compile(r"\b(?:followed by|then|end with|finish with) (?:press )?(?:the )?(pound|hash|star)\b")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def expected_by(said: str) -> Expectation | None:
    """What an answer to our words would be, by their last sentence; None where that is not plain."""
    sentence = _SENTENCE_END.split(said.strip())[-1]
    plain = " ".join(re.sub(r"[^\w' ]+", " ", sentence.lower().replace("e-mail", "email")).split())
    if not plain:
        return None
    if _ASKS_SPELLING.search(plain):
        return Expectation("email" if _ASKS_EMAIL.search(plain) else "spelling")
    is_question = sentence.endswith("?")
    if _ASKS_FOR_IT.search(plain):
        if _ASKS_EMAIL.search(plain):
            return Expectation("email")
        if _ASKS_DIGITS.search(plain):
            return Expectation("digits", _length(plain), _terminator(plain))
        if _ASKS_DATE.search(plain):
            return Expectation("date", 3 if "birth" in plain else None)
    if is_question and _ASKS_YES_NO.fullmatch(plain) and not _OPEN_QUESTION.search(plain):
        return Expectation("yes_no")
    return None


def _length(plain: str) -> int | None:
    found = _LENGTH.search(plain)
    if found is None:
        return None
    return _NUMBERS.get(found[1]) or int(found[1])


def _terminator(plain: str) -> str | None:
    found = _TERMINATOR.search(plain)
    return found[1] if found else None


class ExpectedAnswer:
    """What is expected of the caller's next turn, or of the one being spoken."""

    def __init__(self, configured: Expectation) -> None:
        self._configured = configured
        self._asked: Expectation | None = None
        """By our last question; None where it does not tell."""
        self._told: Expectation | None = None
        self._told_next: Expectation | None = None
        """Told while a turn was being answered: it is for the one after it."""

    @property
    def expectation(self) -> Expectation:
        return self._told or self._asked or self._configured

    @property
    def keys(self) -> int | None:
        """So many keys are a whole answer."""
        return self.expectation.length if self.expectation.kind == "digits" else None

    def receive_told(self, expectation: Expectation, *, is_answered: bool) -> None:
        """For one turn: the present or next one, or when that is being answered already, the one after it."""
        if is_answered:
            self._told_next = expectation
        else:
            self._told = expectation

    def receive_question(self, said: str) -> None:
        """What we have said last."""
        self._asked = expected_by(said)

    def receive_reopened(self) -> None:
        """The turn that was being answered goes on."""
        self._told_next = None

    def receive_answered(self) -> None:
        """The turn is over for good."""
        self._told, self._told_next = self._told_next, None
