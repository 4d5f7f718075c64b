# SPDX-License-Identifier: GPL-3.0-or-later
"""Speech to text, as the agent sees it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from media.frames import PcmSamples


@dataclass(frozen=True, slots=True)
class HeardWord:
    """One word, as the service times it."""

    text: str
    started_ms: float
    """Since the first sample that was pushed to the stream; so is `ended_ms`."""
    ended_ms: float
    confidence: float = 0.0
    """0 to 1; 0 when the service does not say."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What the caller seems to have said in the turn so far."""

    text: str
    """May be empty: the sound was not speech."""
    is_final: bool
    confidence: float
    """0 to 1; 0 when the service does not say."""
    language: str = ""
    """What was spoken, as an ISO 639 code; empty when the service does not say."""
    is_stable: bool | None = None
    """Of a partial: a pause followed, and these words change only if more is said. None: the service does not say."""
    words: tuple[HeardWord, ...] = ()
    """Empty when the service does not time them."""


class SttStream(Protocol):
    """One caller's ear. `push` belongs to the event loop and never blocks; beyond the bound it drops oldest."""

    def push(self, samples: PcmSamples) -> None:
        """Append audio at the rate the stream was opened with, int16, shape (n,)."""

    async def final(self) -> Transcript:
        """The best transcript of everything since the last `next_turn`. May be asked again after more audio.

        Cancelling the await cancels the work. Raises `ServiceError`.
        """

    def next_turn(self, keep_ms: int) -> None:
        """Forget the turn's audio, except the newest `keep_ms`: the next turn may already have begun in it."""

    async def aclose(self) -> None: ...


class SpeechToText(Protocol):
    """An engine or a hosted service; one for all calls."""

    async def open(
        self,
        *,
        sample_rate_hz: int,
        on_partial: Callable[[Transcript], None],
        hints: Sequence[str] = (),
        language: str = "en",
    ) -> SttStream:
        """A stream for one caller. `on_partial` is called on the event loop. Raises `ServiceError`."""
        ...

    async def aclose(self) -> None: ...
