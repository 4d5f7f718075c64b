# SPDX-License-Identifier: GPL-3.0-or-later
"""What callers want, told while they speak: the intent of `[agents.NAME.intents]` whose examples are nearest.

text > vector (MiniLM, remembered) > nearest mean of examples > its label, if it is near enough > IntentRecognized

The mean of an intent's examples, threshold and margin were chosen by leaving one example out at a time: of 30 examples
of five intents 21 were found and 4 taken for another, of 20 questions from elsewhere 2 for any. The nearest single
example found 13, with 7 wrong.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import structlog
from numpy.typing import NDArray

from agent.errors import ServiceError
from agent.events import IntentRecognized
from agent.services.llm import ContextNote, Conversation

log = structlog.get_logger(__name__)

Vectors = NDArray[np.float32]

THRESHOLD = 0.35
"""Cosine from which on a whole turn is taken for an intent."""
MARGIN = 0.05
"""So much nearer than the next intent it must be."""
EARLY_THRESHOLD = 0.45
"""The same for the beginning of a turn, which may yet go elsewhere."""
EARLY_WORDS = 3
"""A beginning of fewer words is not judged."""


@dataclass(frozen=True, slots=True)
class Intent:
    """The nearest one."""

    label: str | None
    """None: no example is near enough."""
    score: float


class IntentClassifier(Protocol):
    """One for all calls of an agent."""

    async def classify(self, text: str, *, is_final: bool) -> Intent:
        """What this says. Asking the same again is cheap. Raises `ServiceError`."""
        ...


Embed = Callable[[Sequence[str], bool], Awaitable[Vectors]]
"""(texts, whether somebody waits for it) > unit vectors, shape (texts, dimensions). Raises `ServiceError`."""


class NearestExamples:
    """Compares with the mean of each intent's examples; made by `learn`."""

    def __init__(self, labels: Sequence[str], means: Vectors, embed: Embed) -> None:
        """`means[i]`, of length 1, is that of `labels[i]`."""
        self._labels = tuple(labels)
        self._means = means
        self._embed = embed

    @classmethod
    async def learn(cls, examples: Mapping[str, Sequence[str]], embed: Embed) -> "NearestExamples":
        """Raises `ServiceError`."""
        means = [(await embed(texts, True)).mean(axis=0) for texts in examples.values()]
        return cls(list(examples), np.stack([mean / np.linalg.norm(mean) for mean in means]), embed)

    async def classify(self, text: str, *, is_final: bool) -> Intent:
        if not is_final and len(text.split()) < EARLY_WORDS:
            return Intent(None, 0.0)
        vector = (await self._embed([text], is_final))[0]
        cosines = self._means @ vector
        best = int(cosines.argmax())
        score = float(cosines[best])
        margin = score - float(np.delete(cosines, best).max(initial=-1.0))
        is_near = score >= (THRESHOLD if is_final else EARLY_THRESHOLD) and margin >= MARGIN
        return Intent(self._labels[best] if is_near else None, score)


class IntentTracker:
    """One call's: at most one text is being judged, and the newest waits; what came between is left out."""

    def __init__(self, classifier: IntentClassifier, tell: Callable[[IntentRecognized], None]) -> None:
        self._classifier = classifier
        self._tell = tell
        self._waiting: tuple[int, str, bool] | None = None
        self._is_judging = False
        self._told: tuple[int, str | None] = (-1, None)
        """Turn and label that were told last."""

    def hear(self, turn_index: int, text: str, *, is_final: bool) -> bool:
        """Take what the turn sounds like now; True: `judge` must be run. A final text is not left out for a partial."""
        if self._waiting is not None and self._waiting[2] and not is_final and self._waiting[0] == turn_index:
            return False
        self._waiting = (turn_index, text, is_final)
        return not self._is_judging

    async def judge(self) -> None:
        """Judge what was heard until there is no more."""
        if self._is_judging:
            return
        self._is_judging = True
        try:
            while self._waiting is not None:
                (turn_index, text, is_final), self._waiting = self._waiting, None
                try:
                    intent = await self._classifier.classify(text, is_final=is_final)
                except ServiceError as error:
                    log.warning("intent_missing", service=error.service, detail=error.detail)
                    continue
                self._follow(turn_index, intent, is_final=is_final)
        finally:
            self._is_judging = False

    def _follow(self, turn_index: int, intent: Intent, *, is_final: bool) -> None:
        known = self._told[1] if self._told[0] == turn_index else None
        if is_final:
            news = intent.label is not None or known is not None
        else:
            news = intent.label is not None and intent.label != known
        if news:
            self._told = (turn_index, intent.label)
            self._tell(IntentRecognized(turn_index, intent.label, intent.score, is_final))


class IntentSource:
    """Tells a language model what the caller seems to want."""

    def __init__(self, classifier: IntentClassifier) -> None:
        self._classifier = classifier

    async def notes(self, conversation: Conversation) -> Sequence[ContextNote]:
        said = next((message.text for message in reversed(conversation.messages) if message.role == "user"), "")
        if not said.strip():
            return ()
        intent = await self._classifier.classify(said, is_final=True)
        return () if intent.label is None else (ContextNote("", f"What the caller seems to want: {intent.label}."),)
