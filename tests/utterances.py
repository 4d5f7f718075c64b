# SPDX-License-Identifier: GPL-3.0-or-later
"""A test set for end-of-turn decisions: utterances at 8 kHz G.711 whose pauses and ends are known to the sample.

    recorded     Asterisk's English prompts, one speaker: a natural pause at a comma is stretched
    recorded     the same speaker's digits and letters, put together in groups as callers dictate them
    synthesised  a caller's sentences with Piper, rendered whole, so that the voice goes on before a pause as it does
                 within a sentence, and then stretched in the gaps it makes

Pauses are drawn from 0.3 to 1.5 s, seeded, evenly on a logarithmic scale: short ones are more frequent, as in speech.
Every second utterance of each kind is for tuning, the others are for the test; nobody looks at those while choosing
settings.
"""

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from agent.local.piper import PiperVoiceModel
from media.frames import PcmSamples
from media.resample import resample
from media.wav import read_wav
from tests.mulaw import from_mu_law, mu_law
from tests.wer import SOUNDS_FOLDER, load_prompts

RATE_HZ = 8000
PAUSE_S = (0.3, 1.5)
_LEAD_S, _TAIL_S = 0.6, 2.6
_LINE_NOISE_DBFS = -66.0
_SPEECH_DBFS = -24.0
_QUIET_DB = 40.0
"""Below an utterance's loudest 10 ms: not speech any more."""
_STEP = RATE_HZ // 100
_NATURAL_PAUSE_S = 0.12
"""A gap in a recorded prompt from which on it is one the speaker made, and may be stretched."""

Kind = Literal["prompt", "recorded digits", "recorded spelling", "caller", "caller digits", "caller spelling"]

PHONE = "What is your phone number?"
PIN = "Please say your four digit pin."
ACCOUNT = "Can you tell me your account number?"
SPELL = "Could you spell that for me?"
EMAIL = "What is your email address?"
DATE = "What day would suit you?"
BIRTH = "What is your date of birth?"
HELP = "Hello, how can I help you?"
MORE = "Is there anything else I can do for you?"


@dataclass(frozen=True)
class Utterance:
    """One turn of a caller."""

    name: str
    kind: Kind
    is_recorded: bool
    is_for_tuning: bool
    question: str
    """What we said before."""
    samples: PcmSamples
    """With a silent lead and tail, as it comes out of a G.711 decoder."""
    pauses_s: tuple[tuple[float, float], ...]
    """Begin and end of each pause within the turn."""
    ended_s: float
    """After the last sample of speech."""


# "|" is a pause. The question before it is ours.
_CALLER: tuple[tuple[str, str], ...] = (
    (HELP, "Hi, um, | I'd like to make an appointment."),
    (HELP, "I would like to make an appointment, | for my daughter."),
    (HELP, "I'm calling because, | well, | my tooth hurts."),
    (HELP, "Do you have anything on, uh, | Thursday afternoon?"),
    (HELP, "I need to change my appointment, | if that is possible."),
    (HELP, "Could you tell me, | how much a cleaning costs?"),
    (HELP, "My name is, | Anna Miller."),
    (HELP, "I was wondering if, | you take my insurance."),
    (HELP, "Hello. | I want to ask about your opening hours."),
    (HELP, "Yes, hi, | I have a question about my bill."),
    (HELP, "I think I left my, um, | my umbrella at your office."),
    (HELP, "The thing is, | I can't come on Monday."),
    (HELP, "So, | I got a letter from you, | and I don't understand it."),
    (HELP, "When I was there last week, | the doctor said I should call."),
    (HELP, "If I come at five, | will someone still be there?"),
    (HELP, "Can I bring, | my two children with me?"),
    (HELP, "Is it possible to, | to pay in two parts?"),
    (HELP, "I'd like to speak to, uh, | someone in billing."),
    (HELP, "Well, let me think, | do you have anything in the morning?"),
    (HELP, "I was told that, | the first visit is free."),
    (HELP, "It's about the, | the invoice from March."),
    (HELP, "My son broke a tooth, | and it is bleeding quite a bit."),
    (HELP, "I need a cleaning, | a filling, | and a check up."),
    (HELP, "We have an appointment on Tuesday, | but we will be late."),
    (HELP, "Are you open on Saturday, | or only during the week?"),
    (HELP, "Good morning, | this is Tom Brown, | I'm calling about my results."),
    (HELP, "I would prefer, | a morning appointment, | if you have one."),
    (HELP, "Because of the storm, | I could not make it yesterday."),
    (HELP, "I have a toothache, um, | since Sunday."),
    (HELP, "Excuse me, | what was the price again?"),
    (HELP, "Before I come in, | do I need to fill out any forms?"),
    (HELP, "I want to know, | whether you have parking."),
    (MORE, "Thank you. | Goodbye."),
    (MORE, "No, | that's all, thank you."),
    (MORE, "Okay, | thanks, | bye."),
    (MORE, "Thanks a lot, | bye bye."),
    (MORE, "Yes, um, | one more thing."),
    (MORE, "No, thank you. | Have a nice day."),
    (DATE, "Next, um, | Wednesday afternoon."),
    (DATE, "Maybe on the, | the twenty third of May."),
    (BIRTH, "March the fifth, | nineteen eighty four."),
    (BIRTH, "It's the twelfth of June, | nineteen ninety."),
    (DATE, "Monday, | or Tuesday would be fine."),
    (DATE, "Any time, | after three o'clock."),
)
_CALLER_DIGITS: tuple[tuple[str, str], ...] = (
    (PHONE, "five five five, | zero one, | nine nine."),
    (PHONE, "It's two one two, | five five five, | zero one four seven."),
    (PHONE, "My number is, | four one five, | nine eight six, | two three one seven."),
    (PHONE, "six oh two, | seven seven eight, | oh oh four five."),
    (PIN, "four seven, | one nine."),
    (PIN, "It's eight, | two, | six five."),
    (ACCOUNT, "one one four, | two two nine, | seven six."),
    (ACCOUNT, "Sure, one moment, | seven three eight, | four four one."),
    (PHONE, "Yes, that's area code, | three one two, | eight four four, | six one nine three."),
    (ACCOUNT, "It starts with nine nine, | three four, | eight one two."),
)
_CALLER_SPELLING: tuple[tuple[str, str], ...] = (
    (EMAIL, "anna dot miller, | at, | example dot com."),
    (EMAIL, "It's t brown, | at mail dot net."),
    (EMAIL, "info, | at riverside, | dot org."),
    (EMAIL, "john underscore smith, | at example, | dot com."),
    (SPELL, "S, M, | I, T, H."),
    (SPELL, "B, R, O, | W, N, E."),
    (SPELL, "It's K, | O, W, A, | L, S, K, I."),
    (SPELL, "M, as in Mike, | A, as in alpha, | Y."),
)
_COMPLETE: tuple[tuple[str, str], ...] = tuple(
    (question, text)
    for question, texts in (
        (
            HELP,
            (
                "What are your opening hours?",
                "Do you take Cigna?",
                "How much does a cleaning cost?",
                "Is there a place where I can park my car?",
                "Can you see my five year old daughter?",
                "I would like to make an appointment.",
                "Are you taking on new patients?",
                "How long does whitening take?",
                "Can I pay by credit card?",
                "What street are you on?",
                "I'd like to cancel my appointment on Friday.",
                "Please connect me to the front desk.",
                "My tooth hurts.",
                "When can I come in?",
                "Do you have an appointment tomorrow?",
                "What does a crown cost?",
                "Where exactly are you?",
                "Do you speak Spanish?",
                "Could you send me the bill again?",
                "Can I talk to a person?",
                "I need to reschedule my appointment.",
                "How do I get to your office?",
                "Is the doctor in today?",
                "Do I have to pay in advance?",
                "How long will it take?",
                "Which insurance plans do you accept?",
                "Can I get a copy of my x-rays?",
                "What should I do about the pain?",
                "Do you treat children?",
                "When is your next free slot?",
                "Is there an elevator in the building?",
                "Who will be my dentist?",
                "Can you call me back this afternoon?",
                "What happens if I miss my appointment?",
                "Do you have a fax number?",
                "I'd like to order new toothbrushes.",
                "I want to speak with the doctor, please.",
                "I got a letter from you yesterday.",
                "What time do you close on Fridays?",
                "How old do I have to be?",
                "Is parking free?",
                "Do you offer payment plans?",
                "Can my husband come along?",
                "Where is the nearest bus stop?",
                "Does it hurt?",
                "How often should I come in?",
                "What is the phone number of your other office?",
                "Are you closed over Christmas?",
                "Do you have my new address?",
                "Why was I charged twice?",
                "Can I change my appointment online?",
                "Will the doctor call me?",
                "How many people are waiting?",
                "Could you repeat the address, please?",
                "What kind of insurance do I need?",
                "Is it too late to cancel?",
                "Do I need a referral?",
                "When was my last visit?",
                "Which floor are you on?",
                "Can I eat before the appointment?",
                "Do you have wheelchair access?",
                "How much is a consultation?",
                "I'd like to book a cleaning for next week.",
                "I need to speak to someone in billing.",
                "I want to cancel my subscription.",
                "Could you put me through to the doctor?",
                "Please send me the forms.",
                "I would like to know the price of a crown.",
                "I have a question about my bill.",
                "My filling fell out.",
                "I'm running late for my appointment.",
                "My daughter has a fever.",
                "I have lost my prescription.",
            ),
        ),
        (
            MORE,
            ("No.", "Yes, please.", "No, thank you.", "That's all, goodbye.", "Yes.", "No, that's it.", "No, goodbye."),
        ),
        (DATE, ("Tuesday afternoon.", "Tomorrow morning would be great.", "The fifth of March.")),
        (PHONE, ("two one two five five five zero one four seven.",)),
        (PIN, ("four seven one nine.",)),
    )
    for text in texts
)
# Groups of the recorded speaker's digits and letters; a group is spoken without a pause.
_RECORDED_DIGITS: tuple[tuple[str, str], ...] = (
    (PHONE, "555 0199"),
    (PHONE, "212 555 0147"),
    (PHONE, "415 98 62 317"),
    (PHONE, "602 778 0045"),
    (PIN, "47 19"),
    (PIN, "8 265"),
    (ACCOUNT, "114 229 76"),
    (ACCOUNT, "73 84 41"),
    (PHONE, "312 844 6193"),
    (ACCOUNT, "993 4812"),
    (PHONE, "2125550188"),
    (PIN, "3058"),
)
_RECORDED_SPELLING: tuple[tuple[str, str], ...] = (
    (SPELL, "smi th"),
    (SPELL, "br owne"),
    (SPELL, "kow al ski"),
    (EMAIL, "tom @ mail.com"),
    (EMAIL, "ab @net .org"),
    (SPELL, "li"),
)
_RECORDED_NAMES = {"@": "letters/at", ".": "letters/dot"}
_MOST_IN_CLAUSE, _MOST_COMPLETE_PROMPTS = 17, 8
_FEWEST_WORDS = 6


def load_utterances(voice: PiperVoiceModel, seed: int = 5) -> list[Utterance]:
    """The whole set; without the prompts' package only what is synthesised."""
    draw = random.Random(seed)
    found: list[Utterance] = []
    for kind, texts in (
        ("caller", _CALLER + _COMPLETE),
        ("caller digits", _CALLER_DIGITS),
        ("caller spelling", _CALLER_SPELLING),
    ):
        spoken = [(question, text, _render(voice, text)) for question, text in texts]
        found += _utterances(kind, False, spoken, draw)  # type: ignore[arg-type]
    if SOUNDS_FOLDER.exists():
        for kind, groups in (("recorded digits", _RECORDED_DIGITS), ("recorded spelling", _RECORDED_SPELLING)):
            spoken = [(question, text, [_dictate(group) for group in text.split()]) for question, text in groups]
            found += _utterances(kind, True, spoken, draw)  # type: ignore[arg-type]
        found += _utterances("prompt", True, list(_prompts()), draw)
    return found


def _utterances(
    kind: Kind, is_recorded: bool, spoken: Iterable[tuple[str, str, Sequence[PcmSamples]]], draw: random.Random
) -> list[Utterance]:
    found = []
    for index, (question, text, parts) in enumerate(spoken):
        noise = np.random.default_rng(index)
        pauses_s = [round(PAUSE_S[0] * (PAUSE_S[1] / PAUSE_S[0]) ** draw.random(), 2) for _ in parts[1:]]
        pieces, gaps, position = [np.zeros(round(_LEAD_S * RATE_HZ))], list[tuple[float, float]](), _LEAD_S
        level = 10 ** (_SPEECH_DBFS / 20) * 32768 / np.sqrt(np.mean(np.concatenate(parts).astype(float) ** 2))
        for number, part in enumerate(parts):
            pieces.append(part * level)
            position += len(part) / RATE_HZ
            if number < len(pauses_s):
                gaps.append((position, position + pauses_s[number]))
                pieces.append(np.zeros(round(pauses_s[number] * RATE_HZ)))
                position += pauses_s[number]
        pieces.append(np.zeros(round(_TAIL_S * RATE_HZ)))
        sound = np.concatenate(pieces)
        sound += noise.normal(0.0, 10 ** (_LINE_NOISE_DBFS / 20) * 32768, len(sound))
        samples = from_mu_law(mu_law(np.clip(np.rint(sound), -32768, 32767).astype(np.int16)))
        is_for_tuning = index % 2 == 0
        found.append(Utterance(text, kind, is_recorded, is_for_tuning, question, samples, tuple(gaps), position))
    return found


def _render(voice: PiperVoiceModel, text: str) -> list[PcmSamples]:
    """The sentence as a whole, cut in the gaps that the voice makes at its commas: it goes on before each pause."""
    parts = text.split("|")
    samples = np.concatenate(list(voice.render(" ".join(part.strip() for part in parts), 1.0)))
    sound = _trim(resample(samples, voice.sample_rate_hz, RATE_HZ))
    gaps: list[tuple[int, int]] = []
    spoken = np.cumsum([len(part) for part in parts])
    for place in spoken[:-1] / spoken[-1] * len(sound):
        # The gap that is long and near where the pause belongs by the length of the text.
        after = [gap for gap in _gaps(sound, 30.0) if not gaps or gap[0] >= gaps[-1][1] + RATE_HZ // 10]
        gaps.append(max(after, key=lambda gap: (gap[1] - gap[0]) - abs((gap[0] + gap[1]) / 2 - place) * 0.25))
    return _parts(sound, gaps)


def _dictate(group: str) -> PcmSamples:
    """Digits and letters one after the other, as closely as a speaker would."""
    parts: list[PcmSamples] = []
    for sign in group:
        name = f"digits/{sign}" if sign.isdigit() else _RECORDED_NAMES.get(sign, f"letters/{sign}")
        samples, rate_hz = read_wav(SOUNDS_FOLDER / f"{name}.wav")
        parts += [_trim(resample(samples, rate_hz, RATE_HZ)), np.zeros(RATE_HZ // 20, np.int16)]
    return np.concatenate(parts[:-1])


def _prompts() -> Iterable[tuple[str, str, list[PcmSamples]]]:
    """Prompts of one sentence: those with a comma, paused where the speaker paused; some without, paused at the longest
    gap inside the clause; and some without a pause."""
    at_comma: list[tuple[str, str, list[PcmSamples]]] = []
    in_clause: list[tuple[str, str, list[PcmSamples]]] = []
    complete: list[tuple[str, str, list[PcmSamples]]] = []
    for path, text in load_prompts().values():
        if len(re.findall(r"[.!?]\s", text)) or not text[0].isupper() or "..." in text:
            continue
        sound = _sound(path)
        gaps = _gaps(sound)
        natural = [gap for gap in gaps if gap[1] - gap[0] >= _NATURAL_PAUSE_S * RATE_HZ]
        if "," in text[:-1]:
            if natural:
                at_comma.append((HELP, text, _parts(sound, natural)))
        elif (
            len(text.split()) >= _FEWEST_WORDS
            and len(in_clause) < _MOST_IN_CLAUSE
            and len(in_clause) <= 2 * len(complete)
        ):
            inner = [gap for gap in gaps if 0.3 * len(sound) < gap[0] and gap[1] < 0.7 * len(sound)]
            if inner:
                longest = max(inner, key=lambda gap: gap[1] - gap[0])
                in_clause.append((HELP, text, _parts(sound, [longest])))
        elif not natural and len(complete) < _MOST_COMPLETE_PROMPTS:
            complete.append((HELP, text, [sound]))
    return [*at_comma, *in_clause, *complete]


def _parts(sound: PcmSamples, gaps: Sequence[tuple[int, int]]) -> list[PcmSamples]:
    """The sound without these gaps."""
    begins, ends = [0, *(end for _, end in gaps)], [*(begin for begin, _ in gaps), len(sound)]
    return [sound[begin:end] for begin, end in zip(begins, ends, strict=True)]


def _sound(path: Path) -> PcmSamples:
    samples, rate_hz = read_wav(path)
    return _trim(resample(samples, rate_hz, RATE_HZ))


def _loud(samples: PcmSamples, quiet_db: float = _QUIET_DB) -> NDArray[np.bool_]:
    """Of each 10 ms, whether it is speech."""
    steps = samples[: len(samples) // _STEP * _STEP].astype(float).reshape(-1, _STEP)
    power = (steps**2).mean(axis=1)
    is_loud: NDArray[np.bool_] = power > power.max() * 10 ** (-quiet_db / 10)
    return is_loud


def _trim(samples: PcmSamples) -> PcmSamples:
    loud = np.flatnonzero(_loud(samples))
    return samples[loud[0] * _STEP : (loud[-1] + 1) * _STEP]


def _gaps(sound: PcmSamples, quiet_db: float = _QUIET_DB) -> list[tuple[int, int]]:
    """The longest gaps of an utterance, at most two, in order: first and last sample of each."""
    edges = np.flatnonzero(np.diff(np.concatenate(([True], _loud(sound, quiet_db), [True])).astype(int)))
    gaps = [(int(begin) * _STEP, int(end) * _STEP) for begin, end in zip(edges[::2], edges[1::2], strict=True)]
    return gaps
