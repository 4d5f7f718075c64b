# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of a conversation whose words are not: the beginning of a long call, an earlier call of this caller.

A value of bounded size: the name, what was asked and answered, what the caller left, and perhaps a summary that a
language model wrote. It goes into the system prompt (this call) or a note (earlier calls), and the receptionist reads
its fields.
"""

import json
from dataclasses import asdict, dataclass, replace

MOST_EXCHANGES = 12
_MOST_LEFT = 4
_MOST_CHARACTERS = 240
"""Of one question, answer or message."""
_MOST_SUMMARY_CHARACTERS = 3_000


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question, and what the caller heard as an answer to it."""

    asked: str
    answered: str = ""


@dataclass(frozen=True, slots=True)
class Recollection:
    """What is kept."""

    caller_name: str = ""
    exchanges: tuple[Exchange, ...] = ()
    """Oldest first: the very first one, and the newest."""
    left: tuple[str, ...] = ()
    """Messages that the caller left for somebody."""
    summary: str = ""
    """Prose; when there is one, it stands for the exchanges before a language model."""

    def __bool__(self) -> bool:
        return bool(self.caller_name or self.exchanges or self.left or self.summary)

    @property
    def questions(self) -> tuple[str, ...]:
        return tuple(exchange.asked for exchange in self.exchanges)

    @property
    def text(self) -> str:
        """In words, for a language model."""
        said = [f"The caller's name is {self.caller_name}."] if self.caller_name else []
        said.append(self.summary or _in_words(self.exchanges))
        said += [f'The caller left a message: "{message}"' for message in self.left]
        return " ".join(part for part in said if part)

    def followed_by(self, later: "Recollection") -> "Recollection":
        """Both as one: the later name counts; of the exchanges the first and the newest stay, each once."""
        exchanges = tuple(dict.fromkeys((*self.exchanges, *later.exchanges)))
        if len(exchanges) > MOST_EXCHANGES:
            exchanges = (exchanges[0], *exchanges[1 - MOST_EXCHANGES :])
        summary = self.summary
        if summary:
            summary = f"{summary} {later.summary or _in_words(later.exchanges)}".strip()[-_MOST_SUMMARY_CHARACTERS:]
        elif later.summary:
            summary = f"{_in_words(self.exchanges)} {later.summary}".strip()[-_MOST_SUMMARY_CHARACTERS:]
        return Recollection(
            later.caller_name or self.caller_name,
            exchanges,
            tuple(dict.fromkeys((*self.left, *later.left)))[-_MOST_LEFT:],
            summary,
        )

    def told_as(self, summary: str) -> "Recollection":
        """The same in a language model's words."""
        return replace(self, summary=summary.strip()[:_MOST_SUMMARY_CHARACTERS])

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, kept: str) -> "Recollection":
        """What `to_json` wrote. Raises `ValueError` for anything else."""
        try:
            fields = json.loads(kept)
            return cls(
                str(fields["caller_name"]),
                tuple(Exchange(str(one["asked"]), str(one["answered"])) for one in fields["exchanges"]),
                tuple(str(message) for message in fields["left"]),
                str(fields["summary"]),
            )
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"no recollection: {type(error).__name__}") from None


NOTHING = Recollection()


def clip(text: str) -> str:
    """At most so much of one saying, whole words."""
    text = " ".join(text.split())
    if len(text) <= _MOST_CHARACTERS:
        return text
    return text[:_MOST_CHARACTERS].rsplit(" ", 1)[0] + " ..."


def _in_words(exchanges: tuple[Exchange, ...]) -> str:
    return " ".join(
        f'They asked: "{one.asked}"' + (f' They were told: "{one.answered}"' if one.answered else "")
        for one in exchanges
    )
