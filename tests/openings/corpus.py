# SPDX-License-Identifier: GPL-3.0-or-later
"""All openings of a part: every text with a voice of that part, its pauses, tones, levels and noise drawn from a seed.

Half of the people say hello and little more; one in five answers for a firm. Machines are voicemails, most of them with
a beep of 0.1 to 2 s, some with two, some with a chirp before it, some without any; and menus, queues, announcements,
tones and fax machines.
"""

import random
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from agent.far_end_kind import Verdict
from agent.local.piper import PiperVoiceModel
from media.frames import PcmSamples
from media.tones import beep, busy, congestion, ringback, silence, tone
from media.wav import read_wav
from tests.openings.opening import Opening, Tape, at_level
from tests.openings.speakers import RATE_HZ, Speaker, flite, piper, trim
from tests.wer import SOUNDS_FOLDER

_TEXTS = Path(__file__).parents[1] / "data" / "openings.toml"
_RECORDED: Mapping[str, Sequence[tuple[str, tuple[str, ...]]]] = {
    "tune": (
        ("carrier", ("vm-nobodyavail", "vm-intro")),
        ("queue", ("tt-allbusy",)),
        ("failed", ("all-circuits-busy-now", "please-try-call-later")),
        ("menu", ("privacy-prompt",)),
    ),
    "fresh": (
        ("carrier", ("vm-theperson", "digits/9", "digits/5", "vm-isunavail", "vm-intro")),
        ("carrier", ("vm-nobodyavail", "vm-intro")),
        ("queue", ("queue-youarenext",)),
        ("failed", ("cannot-complete-as-dialed",)),
        ("menu", ("vm-enter-num-to-call",)),
        ("personal", ("vm-rec-name",)),
    ),
    "last": (
        ("carrier", ("vm-theperson", "digits/3", "digits/6", "digits/8", "vm-isonphone", "vm-intro")),
        ("queue", ("queue-thereare", "digits/2", "queue-quantity2")),
        ("failed", ("ss-noservice",)),
        ("failed", ("all-circuits-busy-now",)),
        ("menu", ("vm-forward",)),
    ),
    "held": (
        ("carrier", ("vm-theperson", "digits/4", "digits/0", "digits/2", "vm-isunavail", "vm-intro")),
        ("carrier", ("vm-theperson", "digits/7", "digits/1", "vm-isonphone", "vm-intro")),
        ("queue", ("queue-periodic-announce",)),
        ("failed", ("ss-noservice",)),
        ("failed", ("cannot-complete-as-dialed", "check-number-dial-again")),
        ("menu", ("screen-callee-options",)),
        ("carrier", ("vm-intro",)),
    ),
}
_SHARES = {"hello": 34, "named": 16, "business": 12, "personal": 24, "carrier": 8, "closed": 6, "menu": 5, "queue": 3}
_SHARES |= {"failed": 4, "prank": 2}
_SOUNDS = ("fax", "fax", "busy", "congestion", "music", "sit", "sit")
_WITH_BEEP = ("personal", "carrier", "closed", "prank")


def speakers_of(part: str, voice: PiperVoiceModel) -> list[Speaker]:
    """The voices of a part; needs Flite."""
    if part == "tune":
        return [piper(voice), piper(voice, 1.15, 0.92), flite("kal"), flite("awb")]
    if part == "held":
        return [piper(voice, 0.9, 1.1), flite("rms"), flite("slt"), flite("rms", 0.92), flite("slt", 1.06)]
    return [
        piper(voice, 1.05, 0.96),
        piper(voice, 1.0, 1.16),
        flite("rms", 1.1),
        flite("slt", 0.94),
        flite("awb", 1.08),
    ]


def load_openings(part: str, speakers: Sequence[Speaker], seed: int) -> list[Opening]:
    """Some 62 people and 65 machines; recorded ones only where the prompts' package is."""
    texts = tomllib.loads(_TEXTS.read_text(encoding="utf-8"))[part]
    maker = OpeningMaker(part, speakers, seed)
    made: list[Opening] = []
    for kind, said in texts["human"].items():
        made += [maker.person(kind, said[index % len(said)]) for index in range(_SHARES[kind])]
    for kind, said in texts["machine"].items():
        made += [maker.machine(kind, said[index % len(said)], index) for index in range(_SHARES[kind])]
    if SOUNDS_FOLDER.exists():
        made += [maker.recorded(kind, names, index) for index, (kind, names) in enumerate(_RECORDED[part])]
    made += [maker.sound(kind, index) for index, kind in enumerate(_SOUNDS)]
    return made


class OpeningMaker:
    """Draws everything that the texts leave open: one after the other, so that an opening depends on those before."""

    def __init__(self, part: str, speakers: Sequence[Speaker], seed: int) -> None:
        self._part = part
        self._speakers = speakers
        self._draw = random.Random(seed)
        self._seed = seed
        self._made = 0

    def person(self, kind: str, text: str) -> Opening:
        draw, say = self._draw, self._speaker()
        tape = self._rung()
        tape.answer()
        tape.silence(draw.uniform(0.1, 1.8))
        if draw.random() < 0.2:  # a handset that is taken up
            tape.ring(self._rustle())
            tape.silence(draw.uniform(0.1, 0.4))
        dbov = draw.uniform(-32, -18)
        self._speak(tape, say, text, dbov, (0.25, 0.6))
        tape.silence(draw.uniform(2.2, 3.5))
        if draw.random() < 0.5:
            tape.play(say("Hello?"), dbov)
            tape.silence(2.0)
        noise_dbov = dbov - draw.uniform(15, 40)
        return self._finish(tape, kind, text, Verdict.HUMAN, noise_dbov)

    def machine(self, kind: str, text: str, index: int) -> Opening:
        is_early = kind == "failed" or (kind == "carrier" and index % 3 == 1)
        tape = self._rung()
        if not is_early:
            tape.answer()
        tape.silence(self._draw.uniform(0.2, 2.0))
        if kind == "failed" and index % 2 == 0:
            tape.play(_sit())
            tape.silence(0.2)
        dbov = self._draw.uniform(-30, -16)
        self._speak(tape, self._speaker(), text, dbov, (0.25, 0.8))
        return self._end_machine(tape, kind, text, index, dbov, is_early=is_early)

    def recorded(self, kind: str, names: Sequence[str], index: int) -> Opening:
        is_early = kind == "failed"
        tape = self._rung()
        if not is_early:
            tape.answer()
        tape.silence(self._draw.uniform(0.2, 1.5))
        dbov = self._draw.uniform(-28, -18)
        for name in names:
            if tape.spoke_s is not None:
                tape.silence(self._draw.uniform(0.05, 0.3))
            samples, rate_hz = read_wav(SOUNDS_FOLDER / f"{name}.wav")
            assert rate_hz == RATE_HZ, "the package's rate"
            tape.play(trim(samples), dbov)
        return self._end_machine(tape, kind, "recorded " + " ".join(names), index, dbov, is_early=is_early)

    def sound(self, kind: str, index: int) -> Opening:
        """No voice at all."""
        tape = self._rung()
        if kind in ("fax", "music"):
            tape.answer()
        tape.silence(self._draw.uniform(0.2, 1.5))
        match kind:
            case "fax":
                tape.play(tone((2100.0,), 3000, RATE_HZ))
                tape.silence(1.0)
            case "busy":
                tape.play(busy(5000, RATE_HZ, ("us", "eu")[index % 2]))
            case "congestion":
                tape.play(congestion(4000, RATE_HZ, ("us", "eu")[index % 2]))
            case "music":
                tape.play(_music(12.0, self._seed), -24.0)
            case _:
                tape.play(_sit())
                tape.silence(2.0)
        if kind not in ("fax", "music"):
            tape.answered_s = tape.length_s  # it never was
        return self._finish(tape, kind, kind, Verdict.MACHINE, -62.0)

    def _rung(self) -> Tape:
        """Half of the calls ring in early media."""
        tape = Tape()
        if self._draw.random() < 0.5:
            tape.ring(ringback(6000 if self._draw.random() < 0.5 else 3000, RATE_HZ, self._draw.choice(("us", "eu"))))
        tape.silence(self._draw.uniform(0.1, 0.5))
        return tape

    def _speak(self, tape: Tape, say: Speaker, text: str, dbov: float, pause_s: tuple[float, float]) -> None:
        """The text, its pauses drawn; long ones are of 1 to 1.6 s."""
        for index, part in enumerate(text.replace("||", "|#").split("|")):
            if index:
                is_long = part.startswith("#")
                tape.silence(self._draw.uniform(1.0, 1.6) if is_long else self._draw.uniform(*pause_s))
            tape.play(say(part.strip(" #")), dbov)

    def _end_machine(self, tape: Tape, kind: str, text: str, index: int, dbov: float, *, is_early: bool) -> Opening:
        draw = self._draw
        tape.greeted_s = tape.length_s
        if is_early and kind == "failed":
            tape.answered_s = tape.length_s  # it never was
        if kind in _WITH_BEEP:
            tape.silence(draw.uniform(0.1, 1.2))
            if index % 6 != 5:  # one in six has none
                if is_early:
                    tape.answer()
                self._beep(tape, index)
            tape.silence(4.5)
        elif kind == "queue":
            tape.silence(0.5)
            tape.play(_music(8.0, self._seed + index), dbov)
        else:
            tape.silence(2.5)
        bed = at_level(_music(20.0, self._seed + index), dbov - 14) if kind == "personal" and index % 8 == 6 else None
        return self._finish(tape, kind, text, Verdict.MACHINE, dbov - draw.uniform(25, 45), bed)

    def _beep(self, tape: Tape, index: int) -> None:
        draw = self._draw
        frequency_hz = draw.choice((440, 620, 800, 1000, 1000, 1200, 1400, 1800))
        length_ms = round(100 * 20 ** draw.random())
        sound = at_level(beep(RATE_HZ, length_ms, frequency_hz), draw.uniform(-28, -14))
        if index % 5 == 2:  # a chirp before it
            time_s = np.arange(RATE_HZ * 60 // 1000) / RATE_HZ
            chirp = np.sin(2 * np.pi * (600 * time_s + 8000 * time_s**2))
            tape.play(at_level((8000 * chirp).astype(np.int16), -20))
            tape.silence(draw.uniform(0.15, 0.5))
        if index % 5 == 3:  # two
            tape.beep(sound[: RATE_HZ // 5])
            tape.silence(draw.uniform(0.1, 0.5))
            sound = sound[: RATE_HZ // 5]
        tape.beep(sound)

    def _speaker(self) -> Speaker:
        return self._speakers[self._draw.randrange(len(self._speakers))]

    def _rustle(self) -> PcmSamples:
        noise = np.random.default_rng(self._draw.randrange(1 << 30)).normal(0, 1, RATE_HZ // 5)
        return at_level((3000 * noise * np.hanning(len(noise))).astype(np.int16), -34)

    def _finish(
        self, tape: Tape, kind: str, text: str, truth: Verdict, noise_dbov: float, bed: PcmSamples | None = None
    ) -> Opening:
        self._made += 1
        return tape.finish(
            text,
            self._part,
            kind,
            truth,
            noise_dbov=max(-70.0, noise_dbov),
            bed=bed,
            seed=self._seed * 1000 + self._made,
        )


def _sit() -> PcmSamples:
    parts = ((950.0, 330), (1400.0, 330), (1800.0, 330))
    return np.concatenate([tone((hz,), ms, RATE_HZ) for hz, ms in parts] + [silence(100, RATE_HZ)])


def _music(seconds: float, seed: int) -> PcmSamples:
    """Plucked notes with overtones, in three voices."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(round((seconds + 2) * RATE_HZ))
    for note_s in (0.4, 0.6, 1.2):
        for begin in np.arange(0, seconds, note_s):
            base_hz = 220 * 2 ** (rng.choice((0, 3, 5, 7, 10, 12)) / 12)
            t = np.arange(round(1.5 * note_s * RATE_HZ)) / RATE_HZ
            note = sum(np.sin(2 * np.pi * base_hz * k * t) / k for k in range(1, 6)) * np.exp(-2 * t / note_s)
            start = round(begin * RATE_HZ)
            sound[start : start + len(t)] += 2_000 * note
    return np.asarray(sound[: round(seconds * RATE_HZ)], np.int16)
