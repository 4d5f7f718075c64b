# SPDX-License-Identifier: GPL-3.0-or-later
"""Which language the caller speaks, of those the agent has a voice for. A clockless engine.

    transcripts with the language that speech recognition heard ──> LanguageChanged, when it is sure

Recognisers guess badly on a word or two, so a change takes one longer utterance, or two in a row. A recogniser that
knows one language says none, and nothing changes.
"""

from dataclasses import dataclass

from agent.services.stt import Transcript

_SURE_WORDS = 4
"""An utterance of so many words is enough by itself."""


@dataclass(frozen=True, slots=True)
class LanguageChanged:
    """The caller speaks this now."""

    language: str
    """ISO 639 code."""


class Languages:
    """One caller's."""

    def __init__(self, language: str, others: frozenset[str]) -> None:
        """`language`: what callers speak by default; `others`: what they may change to."""
        self.language = language
        self._known = others | {language}
        self._suspected = ""
        self._events: list[LanguageChanged] = []

    def receive_transcript(self, transcript: Transcript) -> None:
        """The transcript of a whole turn."""
        heard = transcript.language.partition("-")[0].lower()
        if heard not in self._known or heard == self.language:
            if heard:
                self._suspected = ""
            return
        if heard != self._suspected and len(transcript.text.split()) < _SURE_WORDS:
            self._suspected = heard
            return
        self._suspected = ""
        self.language = heard
        self._events.append(LanguageChanged(heard))

    def events(self) -> list[LanguageChanged]:
        """Drain after each transcript."""
        events, self._events = self._events, []
        return events
