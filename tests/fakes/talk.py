# SPDX-License-Identifier: GPL-3.0-or-later
"""A speech-to-speech service without a network: a test says what it tells, and sees what it was told."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from agent.errors import ServiceError
from agent.services.realtime import AnswerBegun, AnswerEnded, AnswerSound, AnswerWords, TalkNews, TalkOrder
from media.frames import PcmSamples

RATE_HZ = 24_000


@dataclass
class ScriptedTalk:
    """The service, and its one conversation."""

    fails: ServiceError | None = None
    orders: list[TalkOrder] = field(default_factory=list)
    pushed_samples: int = 0
    said: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    heard_ms: list[tuple[str, int]] = field(default_factory=list)
    results: list[tuple[str, str, str]] = field(default_factory=list)
    is_closed: bool = False

    async def open(self, order: TalkOrder, on_news: Callable[[TalkNews], None]) -> "ScriptedTalk":
        if self.fails is not None:
            raise self.fails
        self.orders.append(order)
        if order.opening:
            self.said.append(order.opening)
        self.news = on_news
        return self

    async def warm(self) -> None: ...

    async def aclose(self) -> None:
        self.is_closed = True

    def push(self, samples: PcmSamples) -> None:
        self.pushed_samples += len(samples)

    def say(self, text: str) -> None:
        self.said.append(text)

    def tell(self, text: str) -> None:
        self.told.append(text)

    def heard(self, answer_id: str, played_ms: int) -> None:
        self.heard_ms.append((answer_id, played_ms))

    def tool_result(self, call_id: str, name: str, text: str) -> None:
        self.results.append((call_id, name, text))

    def audio_changed(self, sample_rate_hz: int) -> None: ...

    def answer(self, answer_id: str, text: str, ms: int) -> None:
        """All of an answer at once, as fast as services are."""
        self.news(AnswerBegun(answer_id))
        for _ in range(0, ms, 100):
            self.news(AnswerSound(answer_id, np.full(RATE_HZ // 10, 5000, np.int16), RATE_HZ))
        self.news(AnswerWords(answer_id, text))
        self.news(AnswerEnded(answer_id))
