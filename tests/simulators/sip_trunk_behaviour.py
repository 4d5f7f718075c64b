# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is at the other end of a number: drawn from proportions, by the number and a seed, or told by a table."""

import csv
import random
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum


class Behaviour(Enum):
    """The value is the name in `--mix`, in tables and in the truth; its first word is its kind."""

    PERSON_PLAIN = "person_plain"
    """Says hello, listens, replies a few times, says goodbye and hangs up."""
    PERSON_SILENT = "person_silent"
    """Takes the call and says nothing until spoken to."""
    PERSON_HASTY = "person_hasty"
    """Says hello and hangs up within two seconds of our first words."""
    PERSON_PATIENT = "person_patient"
    """Never hangs up: the agent or the longest duration has to end it."""
    PERSON_DO_NOT_CALL = "person_do_not_call"
    """Asks not to be called again."""
    MACHINE_PLAIN = "machine_plain"
    """Answers, greets, beeps and records."""
    MACHINE_EARLY = "machine_early"
    """Greets in early media, answers just before the beep and records."""
    BUSY_PLAIN = "busy_plain"
    """486."""
    BUSY_TONE = "busy_tone"
    """Some of the tone in early media, and then 486."""
    NO_ANSWER_PLAIN = "no_answer_plain"
    """180 until the caller gives up."""
    NO_ANSWER_TONE = "no_answer_tone"
    """The same with the ringing tone in early media."""
    FAX_PLAIN = "fax_plain"
    """Answers with its tone."""
    DEAD_PLAIN = "dead_plain"
    """404."""
    DEAD_EARLY = "dead_early"
    """Information tones and a recording in early media, and then 404."""
    DEAD_ANSWERED = "dead_answered"
    """The same after a 200, and then it hangs up."""
    CONGESTION_PLAIN = "congestion_plain"
    """503."""
    REJECTED_PLAIN = "rejected_plain"
    """603."""

    @property
    def kind(self) -> str:
        """`person`, `machine`, `busy`, `no_answer`, `fax`, `dead`, `congestion`, `rejected`."""
        return next(kind for kind in _SHARES if self.value.startswith(kind))


_SHARES: Mapping[str, Mapping[Behaviour, float]] = {
    "person": {
        Behaviour.PERSON_PLAIN: 0.85,
        Behaviour.PERSON_SILENT: 0.05,
        Behaviour.PERSON_HASTY: 0.05,
        Behaviour.PERSON_DO_NOT_CALL: 0.05,
    },
    "machine": {Behaviour.MACHINE_PLAIN: 0.8, Behaviour.MACHINE_EARLY: 0.2},
    "busy": {Behaviour.BUSY_PLAIN: 0.8, Behaviour.BUSY_TONE: 0.2},
    "no_answer": {Behaviour.NO_ANSWER_PLAIN: 0.7, Behaviour.NO_ANSWER_TONE: 0.3},
    "fax": {Behaviour.FAX_PLAIN: 1.0},
    "dead": {Behaviour.DEAD_PLAIN: 0.5, Behaviour.DEAD_EARLY: 0.25, Behaviour.DEAD_ANSWERED: 0.25},
    "congestion": {Behaviour.CONGESTION_PLAIN: 1.0},
    "rejected": {Behaviour.REJECTED_PLAIN: 1.0},
}
"""What a kind alone means in `--mix`."""
_PASSING = frozenset({"busy", "no_answer", "congestion"})
"""Kinds that another attempt may not find again."""

DEFAULT_MIX = "person=50,machine=25,busy=8,no_answer=8,fax=3,dead=3,congestion=3"


def parse_mix(text: str) -> Mapping[Behaviour, float]:
    """`person=50,busy_tone=8`: kinds or single behaviours and their weights. Raises `ValueError`."""
    weights: dict[Behaviour, float] = {}
    for part in text.split(","):
        name, _, weight = part.strip().partition("=")
        shares = _SHARES[name] if name in _SHARES else {_behaviour(name): 1.0}
        for behaviour, share in shares.items():
            weights[behaviour] = weights.get(behaviour, 0.0) + share * float(weight)
    if not weights or min(weights.values()) < 0 or sum(weights.values()) <= 0:
        raise ValueError(f"a mix needs weights above 0, not {text!r}")
    return weights


def parse_table(lines: Iterable[str]) -> dict[str, Sequence[Behaviour]]:
    """CSV without a header: a number, and its behaviour at each attempt; the last one stays. Raises `ValueError`."""
    rows = (row for row in csv.reader(lines) if row)
    return {number.strip(): [_behaviour(name.strip()) for name in names] for number, *names in rows}


def _behaviour(name: str) -> Behaviour:
    try:
        return Behaviour(name if "_" in name and name != "no_answer" else f"{name}_plain")
    except ValueError:
        known = ", ".join([*_SHARES, *(behaviour.value for behaviour in Behaviour)])
        raise ValueError(f"no behaviour {name!r}; there are {known}") from None


class Numbers:
    """Every number there is. The same seed, number and attempt always meet the same."""

    def __init__(
        self, seed: int, mix: Mapping[Behaviour, float], table: Mapping[str, Sequence[Behaviour]] | None = None
    ) -> None:
        self._seed = seed
        self._mix = mix
        self._table = table or {}

    def behaviour(self, number: str, attempt: int) -> Behaviour:
        """At its `attempt`-th call, from 1 on: a fax stays a fax, but who was busy may be there the next time."""
        told = self._table.get(number)
        if told:
            return told[min(attempt, len(told)) - 1]
        drawn = (self._draw(number, count) for count in range(1, attempt))
        return next((behaviour for behaviour in drawn if behaviour.kind not in _PASSING), self._draw(number, attempt))

    def chance(self, number: str, attempt: int) -> random.Random:
        """What decides everything else of that call."""
        return random.Random(f"{self._seed} {number} {attempt} course")

    def _draw(self, number: str, attempt: int) -> Behaviour:
        chance = random.Random(f"{self._seed} {number} {attempt}")
        return chance.choices(list(self._mix), list(self._mix.values()))[0]
