# SPDX-License-Identifier: GPL-3.0-or-later
"""What a far end does, step by step: one generator for each behaviour, told what became of each step.

    Ring > Answer > Play("hello?") > UntilHeard > UntilQuiet > Play("yes") > HangUp

Nothing here knows of sockets or clocks; `sip_trunk_call.TrunkCall` takes the steps.
"""

from collections.abc import Generator
from dataclasses import dataclass
from random import Random
from typing import assert_never

from tests.simulators.sip_trunk_behaviour import Behaviour
from tests.simulators.sip_trunk_sounds import Sound, TrunkSounds


@dataclass(frozen=True, slots=True)
class Ring:
    """180, and nothing else for so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Early:
    """183: what is played from here on is early media."""


@dataclass(frozen=True, slots=True)
class Answer:
    """200."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The final response that ends it."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Play:
    """To its end. The truth says when the one called `mark` was played."""

    sound: Sound
    mark: str = ""


@dataclass(frozen=True, slots=True)
class Wait:
    """Silence."""

    seconds: float


@dataclass(frozen=True, slots=True)
class UntilHeard:
    """Until the caller speaks; the answer to this step is whether they did in time. They may be speaking already."""

    at_most_s: float


@dataclass(frozen=True, slots=True)
class UntilQuiet:
    """Until the caller has been quiet for so long; the answer is whether they were in time."""

    quiet_s: float
    at_most_s: float


@dataclass(frozen=True, slots=True)
class HangUp:
    """BYE."""


Step = Ring | Early | Answer | Refuse | Play | Wait | UntilHeard | UntilQuiet | HangUp
Script = Generator[Step, bool, None]


@dataclass(frozen=True, slots=True)
class Manner:
    """What all far ends of a trunk have in common."""

    ring_s: tuple[float, float] = (0.5, 3.0)
    """Shortest and longest ringing before somebody answers."""
    turns: tuple[int, int] = (1, 3)
    """How often a person replies before saying goodbye."""
    records_s: float = 20.0
    """A machine hangs up after so much of a message, or after six seconds of silence."""


_PATIENCE_S = 12.0
"""A person who hears nothing for so long hangs up."""
_TURN_S = 0.9
"""So much silence, and it is the other's turn."""
_MONOLOGUE_S = 40.0
_NOBODY_S = 90.0
_MACHINE_SILENCE_S = 6.0


def script(behaviour: Behaviour, sounds: TrunkSounds, chance: Random, manner: Manner) -> Script:
    """What such a far end does when it is called."""
    match behaviour:
        case Behaviour.PERSON_PLAIN:
            return _person(sounds, chance, manner)
        case Behaviour.PERSON_SILENT:
            return _silent(sounds, chance, manner)
        case Behaviour.PERSON_HASTY:
            return _hasty(sounds, chance, manner)
        case Behaviour.PERSON_PATIENT:
            return _patient(sounds, chance, manner)
        case Behaviour.PERSON_DO_NOT_CALL:
            return _do_not_call(sounds, chance, manner)
        case Behaviour.MACHINE_PLAIN:
            return _machine(sounds, chance, manner, is_early=False)
        case Behaviour.MACHINE_EARLY:
            return _machine(sounds, chance, manner, is_early=True)
        case Behaviour.BUSY_PLAIN:
            return _refused(chance, 486, "Busy Here")
        case Behaviour.BUSY_TONE:
            return _busy_tone(sounds)
        case Behaviour.NO_ANSWER_PLAIN:
            return _no_answer()
        case Behaviour.NO_ANSWER_TONE:
            return _no_answer_tone(sounds)
        case Behaviour.FAX_PLAIN:
            return _fax(sounds, chance, manner)
        case Behaviour.DEAD_PLAIN:
            return _refused(chance, 404, "Not Found")
        case Behaviour.DEAD_EARLY:
            return _dead(sounds, chance, is_early=True)
        case Behaviour.DEAD_ANSWERED:
            return _dead(sounds, chance, is_early=False)
        case Behaviour.CONGESTION_PLAIN:
            return _refused(chance, 503, "Service Unavailable")
        case Behaviour.REJECTED_PLAIN:
            return _refused(chance, 603, "Decline")
        case _:
            assert_never(behaviour)


def _picked_up(chance: Random, manner: Manner) -> Script:
    yield Ring(chance.uniform(*manner.ring_s))
    yield Answer()


def _hello(sounds: TrunkSounds, chance: Random) -> Script:
    """The truth's `hello` is the last one that was said before we spoke."""
    yield Wait(chance.uniform(0.15, 0.8))
    yield Play(chance.choice(sounds.hellos), "hello")


def _person(sounds: TrunkSounds, chance: Random, manner: Manner) -> Script:
    yield from _picked_up(chance, manner)
    yield from _hello(sounds, chance)
    if not (yield UntilHeard(4.0)):
        yield Play(chance.choice(sounds.hellos), "hello")
    for _ in range(chance.randint(*manner.turns)):
        if not (yield UntilHeard(_PATIENCE_S)):
            break
        yield UntilQuiet(_TURN_S, _MONOLOGUE_S)
        yield Play(chance.choice(sounds.replies))
    else:
        if (yield UntilHeard(_PATIENCE_S)):
            yield UntilQuiet(_TURN_S, _MONOLOGUE_S)
            yield Play(chance.choice(sounds.goodbyes))
            yield Wait(0.4)
    yield HangUp()


def _silent(sounds: TrunkSounds, chance: Random, manner: Manner) -> Script:
    yield from _picked_up(chance, manner)
    if (yield UntilHeard(_PATIENCE_S)):
        yield UntilQuiet(_TURN_S, _MONOLOGUE_S)
        yield Play(chance.choice(sounds.replies))
        yield UntilHeard(_PATIENCE_S)
        yield UntilQuiet(_TURN_S, _MONOLOGUE_S)
    yield HangUp()


def _hasty(sounds: TrunkSounds, chance: Random, manner: Manner) -> Script:
    yield from _picked_up(chance, manner)
    yield from _hello(sounds, chance)
    yield UntilHeard(5.0)
    yield Wait(chance.uniform(0.3, 1.8))
    yield HangUp()


def _patient(sounds: TrunkSounds, chance: Random, manner: Manner) -> Script:
    yield from _picked_up(chance, manner)
    yield from _hello(sounds, chance)
    while True:
        yield UntilHeard(_PATIENCE_S)
        yield UntilQuiet(_TURN_S, _MONOLOGUE_S)
        yield Play(chance.choice(sounds.replies))


def _do_not_call(sounds: TrunkSounds, chance: Random, manner: Manner) -> Script:
    yield from _picked_up(chance, manner)
    yield from _hello(sounds, chance)
    yield UntilHeard(_PATIENCE_S)
    yield UntilQuiet(_TURN_S, _MONOLOGUE_S)
    yield Play(chance.choice(sounds.do_not_call), "do_not_call")
    yield UntilHeard(_PATIENCE_S)
    yield UntilQuiet(2.0, _MONOLOGUE_S)
    yield HangUp()


def _machine(sounds: TrunkSounds, chance: Random, manner: Manner, *, is_early: bool) -> Script:
    yield Ring(chance.uniform(*manner.ring_s))
    yield Early() if is_early else Answer()
    yield Wait(chance.uniform(0.2, 1.2))
    yield Play(chance.choice(sounds.greetings), "greeting")
    yield Wait(chance.uniform(0.1, 1.0))
    if is_early:
        yield Answer()
        yield Wait(0.2)
    yield Play(chance.choice(sounds.beeps), "beep")
    if (yield UntilHeard(_MACHINE_SILENCE_S)):
        yield UntilQuiet(_MACHINE_SILENCE_S, manner.records_s)
    yield HangUp()


def _refused(chance: Random, code: int, reason: str) -> Script:
    yield Wait(chance.uniform(0.1, 0.8))
    yield Refuse(code, reason)


def _busy_tone(sounds: TrunkSounds) -> Script:
    yield Early()
    for _ in range(3):
        yield Play(sounds.busy_tone, "busy_tone")
    yield Refuse(486, "Busy Here")


def _no_answer() -> Script:
    yield Ring(_NOBODY_S)
    yield Refuse(480, "Temporarily Unavailable")


def _no_answer_tone(sounds: TrunkSounds) -> Script:
    yield Early()
    for _ in range(round(_NOBODY_S / 6)):
        yield Play(sounds.ringback)
    yield Refuse(480, "Temporarily Unavailable")


def _fax(sounds: TrunkSounds, chance: Random, manner: Manner) -> Script:
    yield from _picked_up(chance, manner)
    yield Wait(1.0)
    for _ in range(4):
        yield Play(sounds.fax, "fax")
        yield Wait(2.0)
    yield HangUp()


def _dead(sounds: TrunkSounds, chance: Random, *, is_early: bool) -> Script:
    yield Wait(0.2)
    yield Early() if is_early else Answer()
    yield Wait(0.3)
    yield Play(sounds.information_tones, "information_tones")
    yield Play(chance.choice(sounds.out_of_service))
    yield Refuse(404, "Not Found") if is_early else HangUp()
