# SPDX-License-Identifier: GPL-3.0-or-later
"""Utterances through the real ears, once, and then through turn-taking as often as wanted, in no time.

hear:    samples > WebRTC flag > SpeechDetector (Silero) > what it heard, and when
                 > at each pause after 200 ms: smart-turn's probability, Whisper's transcript of the turn so far
replay:  what was heard, with the answers a fixed time after each question > TurnTaking > when it took the turn
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from agent.config import AgentConfig, SpeechConfig, TurnConfig
from agent.ear import Ear
from agent.local.engines import OfflineEngines
from agent.services.stt import Transcript
from agent.speech import SpeechDetector, SpeechEnded, SpeechEvent, SpeechStarted, SpeechSuspected
from agent.turn import TurnTaking
from agent.turn_actions import Answer, Ask, Listen
from media.frames import PcmFrame
from media.vad import WebRtcVad, mark_speech
from tests.utterances import RATE_HZ, Utterance

ASK_AFTER_MS = 200
MODEL_S, TRANSCRIPT_S = 0.035, 0.030
"""From question to answer: offline engines on an idle machine; Whisper began at the first 120 ms of the pause."""
PREPARE_S = 0.12
"""From the decision to our first audible sample, without speculation."""
_FRAME = RATE_HZ // 50
_NEVER = TurnConfig(
    ask_after_ms=ASK_AFTER_MS,
    over_probability=1.0,
    short_wait_ms=60_000,
    clear_wait_ms=60_000,
    fluent_wait_ms=60_000,
    sure_wait_ms=60_000,
    max_wait_ms=60_000,
    open_wait_ms=60_000,
)


@dataclass(frozen=True)
class Heard:
    """What the ears made of an utterance. Seconds from its begin."""

    utterance: Utterance
    events: tuple[tuple[float, SpeechEvent], ...]
    """And when each was told."""
    answers: dict[int, tuple[float, Transcript]]
    """Of each silence that was long enough to ask about, by its number: probability and transcript."""

    @property
    def silences(self) -> list[tuple[float, float]]:
        """After each stretch of speech: the last sample of it, and when the next was suspected (or never)."""
        found: list[tuple[float, float]] = []
        for _, event in self.events:
            match event:
                case SpeechEnded(ended_at):
                    found.append((ended_at, float("inf")))
                case SpeechStarted(started_at) if found:
                    found[-1] = (found[-1][0], started_at)
        return found


async def hear(utterance: Utterance, engines: OfflineEngines) -> Heard:
    """Push the utterance through the ears as fast as they can."""
    config = SpeechConfig()
    vad, detector = WebRtcVad(), SpeechDetector(engines.new_vad, RATE_HZ, config)
    ear, turns = Ear(RATE_HZ, config.preroll_ms), TurnTaking(AgentConfig(turn=_NEVER))
    stream = await engines.stt.open(sample_rate_hz=RATE_HZ, on_partial=lambda transcript: None)
    ear.attach(stream)
    events: list[tuple[float, SpeechEvent]] = []
    answers: dict[int, tuple[float, Transcript]] = {}
    silences = 0
    for position in range(0, len(utterance.samples) - _FRAME + 1, _FRAME):
        now = (position + _FRAME) / RATE_HZ
        pcm = utterance.samples[position : position + _FRAME].astype("<i2").tobytes()
        frame = mark_speech(PcmFrame(pcm, RATE_HZ, position, now), vad)
        ear.hear(frame)
        detector.receive_frame(frame)
        for event in detector.events():
            events.append((now, event))
            silences += isinstance(event, SpeechEnded)
            turns.receive_speech(event, now)
        turns.handle_timeout(now)
        for action in turns.actions():
            match action:
                case Listen():
                    ear.listen()
                case Ask():
                    ear.pause()
                    transcript = await stream.final()
                    probability = await engines.turn_detector.end_of_turn(ear.turn_audio(), RATE_HZ)
                    answers[silences - 1] = (probability, transcript)
                case _:
                    pass
    await stream.aclose()
    return Heard(utterance, tuple(events), answers)


@dataclass
class Taken:
    """When the turn was taken, seconds from the utterance's begin: the last one is the answer the caller got."""

    heard: Heard
    times: list[float] = field(default_factory=list)

    @property
    def is_cut_off(self) -> bool:
        """Taken before the caller had finished."""
        return any(time < self.heard.utterance.ended_s for time in self.times)

    @property
    def is_talked_over(self) -> bool:
        """Our answer was audible before the caller had gone on: what of a cut-off can be heard."""
        told = [now for now, event in self.heard.events if isinstance(event, SpeechStarted)]
        return any(
            time < self.heard.utterance.ended_s and not any(time <= now < time + PREPARE_S for now in told)
            for time in self.times
        )

    @property
    def delay_s(self) -> float:
        """From the last sample of speech to the decision."""
        return self.times[-1] - self.heard.utterance.ended_s


class Caller:
    """One call: its utterances one after the other, each after our question, with the same `TurnTaking`."""

    def __init__(self, turn: TurnConfig) -> None:
        self._turns = TurnTaking(AgentConfig(turn=turn))
        self._begin = 10.0
        self._pause_ids = 0

    def say(self, heard: Heard) -> Taken:
        taken = Taken(heard)
        begin, turns = self._begin, self._turns
        turns.receive_question(heard.utterance.question, begin)
        due: list[tuple[float, int, float | Transcript]] = []
        waiting = [(begin + now, _moved(event, begin)) for now, event in heard.events]
        audible: tuple[float, int] | None = None
        silences = 0
        end = begin + len(heard.utterance.samples) / RATE_HZ
        now = begin
        while now < end:
            timeout = turns.next_timeout()
            moments = [end, *(when for when, *_ in due), *(when for when, _ in waiting[:1])]
            moments += [timeout] if timeout is not None else []
            moments += [audible[0]] if audible else []
            now = max(now, min(moments))
            if audible and audible[0] <= now:
                turns.receive_audible(audible[1], now)
                turns.receive_reply_over(audible[1], now)
                audible = None
            while waiting and waiting[0][0] <= now:
                event = waiting.pop(0)[1]
                silences += isinstance(event, SpeechEnded)
                turns.receive_speech(event, now)
            for answer in [one for one in due if one[0] <= now]:
                due.remove(answer)
                if isinstance(answer[2], Transcript):
                    turns.receive_transcript(answer[1], answer[2], now)
                else:
                    turns.receive_probability(answer[1], answer[2], now)
            turns.handle_timeout(now)
            for action in turns.actions():
                match action:
                    case Ask(pause_id) if silences - 1 in heard.answers:
                        probability, transcript = heard.answers[silences - 1]
                        due += [(now + MODEL_S, pause_id, probability), (now + TRANSCRIPT_S, pause_id, transcript)]
                    case Answer(reply_id):
                        taken.times.append(now - begin)
                        audible = (now + PREPARE_S, reply_id)
                    case _:
                        pass
        self._begin = end + 1.0
        return taken


def _moved(event: SpeechEvent, by_s: float) -> SpeechEvent:
    match event:
        case SpeechSuspected(started_at) | SpeechStarted(started_at):
            return replace(event, started_at=started_at + by_s)
        case SpeechEnded(ended_at, arrived_at):
            return replace(event, ended_at=ended_at + by_s, arrived_at=arrived_at + by_s)
        case _:
            return event


def by_silence(heard: Heard, wait_s: float) -> Taken:
    """The plain baseline: so much silence ends a turn."""
    return Taken(heard, [since + wait_s for since, until in heard.silences if until - since > wait_s])


def by_model(heard: Heard, over_probability: float, wait_s: float) -> Taken:
    """The model alone: asked once after 200 ms, believed above a probability, else so much silence."""
    taken = Taken(heard)
    for number, (since, until) in enumerate(heard.silences):
        if number not in heard.answers:
            continue
        probability, _ = heard.answers[number]
        wanted_s = ASK_AFTER_MS / 1e3 + MODEL_S if probability > over_probability else wait_s
        if until - since > wanted_s:
            taken.times.append(since + wanted_s)
    return taken


def in_calls(heard: Sequence[Heard], turn: TurnConfig, per_call: int) -> list[Taken]:
    """All of them, so many in a call."""
    taken: list[Taken] = []
    for begin in range(0, len(heard), per_call):
        caller = Caller(turn)
        taken += [caller.say(one) for one in heard[begin : begin + per_call]]
    return taken
