# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds personal data in a text, and puts labels in its place."""

import re
from collections.abc import Collection, Iterable, Sequence

from agent.redaction.birthdates import find_birthdates
from agent.redaction.kinds import LABELS, Kind, Span
from agent.redaction.mail import breaks_off, find_emails
from agent.redaction.names import find_known_names, find_names, known_words
from agent.redaction.numbers import dates_and_times, find_cards, find_ibans, find_known, find_numbers
from agent.redaction.spoken import number_runs, sign_runs, tokens_of

_DIGIT_KINDS: frozenset[Kind] = frozenset({"cards", "iban", "numbers"})
_LEAST_OPEN = 2
"""Digits at the end of what was said, after which more may come."""
_LEAST_MASKED = 4
_TRAILING = re.compile(r"[\s.,;:!?…-]*$")
_OPEN_NAME = re.compile(r"\bname(?:'s| is)\W*$", re.I)


class Redactor:
    """For some kinds. It knows nothing from one text to the next."""

    def __init__(self, kinds: Collection[Kind]) -> None:
        self.kinds = frozenset(kinds)

    def find(
        self, text: str, *, asked: str = "", numbers: Sequence[Span] = (), names: Collection[str] = ()
    ) -> list[Span]:
        """What is to be redacted, in order, nothing twice. `asked`: what the other said before. `numbers`, `names`
        (words in lower case): what was found before in the call, of which parts count, too."""
        tokens = tokens_of(text)
        found: list[Span] = []
        # What is more certain comes first, and what overlaps it is left out.
        if "emails" in self.kinds:
            _add(found, find_emails(text))
        if "iban" in self.kinds:
            _add(found, find_ibans(text, tokens))
        if "cards" in self.kinds:
            _add(found, find_cards(text, tokens))
        if "birthdates" in self.kinds:
            _add(found, find_birthdates(text, asked))
        if numbers:
            _add(found, find_known(text, tokens, numbers, _LEAST_MASKED))
        if "numbers" in self.kinds:
            _add(found, find_numbers(text, tokens, asked))
        if "names" in self.kinds:
            _add(found, find_names(text, asked))
            _add(found, find_known_names(text, frozenset(names)))
        return sorted(found, key=lambda span: span.begin)

    def redact(self, text: str, *, asked: str = "") -> str:
        """The text with labels."""
        return labelled(text, self.find(text, asked=asked))

    def find_unfinished(
        self, text: str, *, asked: str = "", numbers: Sequence[Span] = (), names: Collection[str] = ()
    ) -> list[Span]:
        """Likewise in a text that goes on: digits that may become a number are none of anybody's business, either."""
        found = self.find(text, asked=asked, numbers=numbers, names=names)
        if self.kinds & _DIGIT_KINDS:
            kind: Kind = "numbers" if "numbers" in self.kinds else "cards" if "cards" in self.kinds else "iban"
            runs = number_runs(text, tokens_of(text), dates_and_times(text))
            _add(found, (Span(run.begin, run.end, kind) for run in runs if len(run.signs) >= _LEAST_MASKED))
        return found

    def breaks_off(self, text: str) -> bool:
        """Whether what ends this text may go on in what is said next."""
        end = len(text) - len(_TRAILING.search(text)[0])  # type: ignore[index]
        tokens = tokens_of(text)
        if self.kinds & _DIGIT_KINDS:
            runs = sign_runs(text, tokens) if "iban" in self.kinds else number_runs(text, tokens, dates_and_times(text))
            for run in runs:
                if run.end >= end and sum(map(str.isdecimal, run.signs)) >= _LEAST_OPEN:
                    return True
        if "emails" in self.kinds and breaks_off(text):
            return True
        return "names" in self.kinds and bool(_OPEN_NAME.search(text))

    def names_in(self, text: str, found: Iterable[Span]) -> frozenset[str]:
        """Of what was found, the words of names: to be known from now on."""
        return known_words(text[span.begin : span.end] for span in found if span.kind == "names")


def labelled(text: str, found: Iterable[Span]) -> str:
    """With the label of each kind in place of what was found."""
    parts, at = [], 0
    for span in sorted(found, key=lambda one: one.begin):
        parts += [text[at : span.begin], LABELS[span.kind]]
        at = span.end
    return "".join((*parts, text[at:]))


def _add(found: list[Span], more: Iterable[Span]) -> None:
    for span in more:
        if span.begin < span.end and not any(span.overlaps(other) for other in found):
            found.append(span)
