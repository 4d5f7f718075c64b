# SPDX-License-Identifier: GPL-3.0-or-later
"""Barge-in: the caller speaks while the agent speaks. A clockless engine; `agent.turn` feeds it.

             suspicion            speech                silence
    QUIET ──────────────> SUSPECTED ──────> SPEECH ───────────────> ASKED
      ^       Duck            │      Hold,    │  ^     AskWords        │
      │                       │    Overhear   │  └────── speech ───────┤
      ├──── it was nothing ───┴─── Restore ───│── nothing, a back- ────┤
      │                                       │   channel, no answer   │
      └─────────────────────────── BrokenIn ──┴── words, length ───────┘

    and from SPEECH without a word for very long, when only words count: Restore, Disregard > IGNORED until silence

Only matters while the agent is audible. The first sound of what may be speech makes the agent quieter at once, speech
holds it, and all of that is undone when the caller turns out not to want the floor. While that is open, speech
recognition hears the caller (`Overhear`), so that the words can tell, and so that an interruption has its beginning.

How long speech must last without telling words adapts to the caller: back-channels and echo raise it, and so does a
stop for nothing; who had to try twice needs less. A protected utterance is neither quieter nor stopped: what the caller
wants to say meanwhile is `Deferred`.
"""

from dataclasses import dataclass
from enum import Enum

from agent.config import InterruptionConfig
from agent.floor import SURE_OF_WORDS, Floor, wish
from agent.services.stt import Transcript

_DECIDE_S = 0.6
"""Speech recognition has so long after the caller fell silent; without an answer, a short sound was no interruption."""
_A_WORD_S = 0.4
"""A single word that explains nothing counts from this length on. Of a shorter sound ("mhm": "man", "got it": "that
it") one word more is needed."""
_ENDED_S = 0.1
"""That speech has ended is known so much later: a gap of two windows, and a frame."""
_ONLY_BACKCHANNELS = 2.0
"""Who has said nothing but "okay" so far may go on for so much longer."""
_WORDLESS = 3.0
"""When only words count, speech without any is ignored after so many times `confirm_ms`: music, a television."""
_AGAIN_S = 2.5
"""Who speaks again so soon after being passed over was not understood the first time."""
_MOST, _LEAST = 2.0, 0.6
"""Bounds of the adaptation."""


@dataclass(frozen=True, slots=True)
class Duck:
    """Quieter."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Silent, and keep what is left to say."""


@dataclass(frozen=True, slots=True)
class Restore:
    """As before `Duck` and `Hold`; what was held goes on where it stopped."""


@dataclass(frozen=True, slots=True)
class Overhear:
    """Let speech recognition hear the caller, from a little before this moment: it may become a turn."""

    goes_on: bool
    """After a gap, with what was overheard before."""


@dataclass(frozen=True, slots=True)
class AskWords:
    """Ask for the words overheard so far; nothing more is heard until the next `Overhear`."""

    burst_id: int


@dataclass(frozen=True, slots=True)
class Disregard:
    """Hear no more of it."""


@dataclass(frozen=True, slots=True)
class BrokenIn:
    """The caller has the floor: throw the rest away."""

    is_certain: bool
    """All the words are known. Otherwise it was long, or began like an interruption, and may still be nothing."""


@dataclass(frozen=True, slots=True)
class Deferred:
    """The caller has something to say, after what is protected."""


BargeInEvent = Duck | Hold | Restore | Overhear | AskWords | Disregard | BrokenIn | Deferred


@dataclass(frozen=True, slots=True)
class Saying:
    """What the caller speaks over."""

    text: str = ""
    """Of the reply, as far as it is rendered."""
    asks: bool = False
    """It is a question, and at its end: a "yes" answers it."""


class _Floor(Enum):
    """Whether we have it, and whether speech can take it."""

    NOBODYS = "nobodys"
    """We are not audible."""
    OURS = "ours"
    PROTECTED = "protected"
    """Ours, and to be kept."""
    CLOSED = "closed"
    """Ours, and nothing that is said meanwhile is heard: the policy."""


class _State(Enum):
    QUIET = "quiet"
    SUSPECTED = "suspected"
    SPEECH = "speech"
    ASKED = "asked"
    IGNORED = "ignored"


class _Volume(Enum):
    FULL = "full"
    DUCKED = "ducked"
    HELD = "held"


@dataclass(slots=True)
class _Burst:
    """What the caller says over us: speech with short gaps."""

    burst_id: int
    since: float
    """When its present, or last, piece of speech began."""
    lasted_s: float = 0.0
    """Of speech before that."""
    ended_at: float = 0.0
    decide_at: float = 0.0
    floor: Floor = Floor.NOTHING
    """What its words ask for, so far."""


class BargeIn:
    """One call's interruptions."""

    def __init__(self, config: InterruptionConfig) -> None:
        self._config = config
        self._is_enabled = config.enabled
        self._is_audible = False
        self._is_protected = False
        self._state = _State.QUIET
        self._volume = _Volume.FULL
        self._burst = _Burst(0, 0.0)
        self._is_hinted = False
        self._is_suspicious = False
        """While the words are asked for: a sound again."""
        self._patience = 1.0
        """Times `confirm_ms`."""
        self._passed_over_at: float | None = None
        """When a sound whose words told nothing was taken for nothing."""
        self._events: list[BargeInEvent] = []

    @property
    def confirm_s(self) -> float:
        """Speech of this length, without telling words, stops the agent."""
        return self._config.confirm_ms / 1e3 * (self._patience if self._config.adaptive else 1.0)

    @property
    def is_undecided(self) -> bool:
        """The caller has said something over us and it is open what that was."""
        return self._is_heard and self._state in (_State.SPEECH, _State.ASKED)

    def enable(self, enabled: bool, now: float) -> None:
        """Whether speech may stop the agent, from now on."""
        was_heard, self._is_enabled = self._is_heard, enabled
        self._begin_to_hear(was_heard)
        self._weigh(now)

    def receive_audible(self, now: float, *, protected: bool = False) -> None:
        """The agent is heard from now on."""
        was_heard = self._is_heard
        self._is_audible, self._is_protected = True, protected
        self._begin_to_hear(was_heard)
        self._weigh(now)

    def receive_inaudible(self, now: float) -> None:
        """The agent has finished, or was stopped."""
        self._is_audible = False
        if self._state in (_State.ASKED, _State.IGNORED):
            self._state = _State.QUIET
        self._set_volume(_Volume.FULL)

    def receive_hint(self, suspicious: bool, now: float) -> None:
        """Something that may become a suspicion is on its way, or is not any more."""
        self._is_hinted = suspicious
        self._weigh(now)

    def receive_suspicion(self, now: float) -> None:
        """Something that may become speech."""
        if self._state is _State.ASKED:
            self._is_suspicious = True
        elif self._state is _State.QUIET:
            self._state = _State.SUSPECTED
        self._weigh(now)

    def receive_dismissal(self, now: float) -> None:
        """It did not."""
        self._is_suspicious = False
        if self._state is _State.SUSPECTED:
            self._state = _State.QUIET
        self._weigh(now)

    def receive_speech(self, started_at: float, now: float) -> None:
        """It is speech, and began at `started_at`."""
        before = self._burst
        goes_on = self._state is _State.ASKED
        self._burst = _Burst(before.burst_id + 1, started_at)
        if goes_on:
            self._burst.lasted_s = before.lasted_s + before.ended_at - before.since
            self._burst.floor = before.floor
        self._state, self._is_suspicious = _State.SPEECH, False
        if self._is_heard:
            self._events.append(Overhear(goes_on))
        self._weigh(now)

    def receive_silence(self, ended_at: float, now: float) -> None:
        """The speech ended at `ended_at`."""
        was_speech, self._state = self._state is _State.SPEECH, _State.QUIET
        if not (was_speech and self._is_heard):
            self._weigh(now)
            return
        burst = self._burst
        burst.ended_at = ended_at
        if self._config.policy == "duration":
            if self._spoken_s(ended_at) >= self.confirm_s:
                self._give_way(now, certain=False)
            else:
                self._pass_over(Floor.UNSURE, now)
            return
        self._state = _State.ASKED
        burst.decide_at = now + _DECIDE_S
        self._events.append(AskWords(burst.burst_id))
        self._weigh(now)

    def receive_partial(self, transcript: Transcript, saying: Saying, now: float) -> None:
        """What the caller says over `saying`, as far as it is recognised. What comes too late is dropped."""
        if self._state is _State.SPEECH and self._is_heard:
            self._burst.floor = self._wish(transcript, saying)
            self._weigh(now)

    def receive_words(self, burst_id: int, transcript: Transcript, saying: Saying, now: float) -> None:
        """The answer to `AskWords`. One that comes too late still stops us, if it says so."""
        burst = self._burst
        if burst.burst_id != burst_id or not self._is_heard or self._state not in (_State.ASKED, _State.QUIET):
            return
        is_late = self._state is _State.QUIET
        is_short = self._spoken_s(burst.ended_at) < _A_WORD_S
        floor = self._wish(transcript, saying, is_short=is_short)
        wants = floor is Floor.WANTED
        if not is_late:
            a_word = not is_short and (transcript.confidence or 1.0) >= SURE_OF_WORDS
            wants |= floor is Floor.UNSURE and a_word
            wants |= floor is Floor.BACKCHANNEL and saying.asks
        if wants:
            self._give_way(now, certain=True)
        elif not is_late:
            self._pass_over(floor, now)

    def receive_no_words(self, burst_id: int, now: float) -> None:
        """Speech recognition failed to answer `AskWords`."""
        if self._state is _State.ASKED and self._burst.burst_id == burst_id:
            self._pass_over(Floor.UNSURE, now)

    def receive_false_stop(self) -> None:
        """The last interruption was none: no words came of it, or only a back-channel."""
        self._adapt(1.3)

    def is_nothing(self, transcript: Transcript) -> bool:
        """Whether the words of what was only long ask for nothing."""
        return self._wish(transcript, Saying()) in (Floor.NOTHING, Floor.BACKCHANNEL)

    def next_timeout(self) -> float | None:
        """When `handle_timeout` wants to be called next, monotonic seconds."""
        if not self._is_heard:
            return None
        if self._state is _State.ASKED:
            return self._burst.decide_at
        return self._long_at if self._state is _State.SPEECH else None

    def handle_timeout(self, now: float) -> None:
        self._weigh(now)

    def events(self) -> list[BargeInEvent]:
        """What follows from the latest input; drain after each."""
        events, self._events = self._events, []
        return events

    @property
    def _floor(self) -> _Floor:
        if not self._is_audible:
            return _Floor.NOBODYS
        if self._is_protected:
            return _Floor.PROTECTED
        return _Floor.OURS if self._is_enabled else _Floor.CLOSED

    @property
    def _is_heard(self) -> bool:
        """Whether what the caller says over us is judged."""
        return self._floor in (_Floor.OURS, _Floor.PROTECTED)

    @property
    def _long_at(self) -> float:
        """When the present speech is long enough to mean something, or to be ignored."""
        needed_s = self.confirm_s
        if self._config.policy == "duration":  # nothing else can tell, so that nothing is waited for
            return self._burst.since - self._burst.lasted_s + needed_s
        if self._config.policy == "words":
            needed_s *= _WORDLESS
        elif self._config.policy == "any" and self._burst.floor is Floor.BACKCHANNEL:
            needed_s *= _ONLY_BACKCHANNELS
        return self._burst.since - self._burst.lasted_s + needed_s + _ENDED_S

    def _spoken_s(self, until: float) -> float:
        return self._burst.lasted_s + until - self._burst.since

    def _wish(self, transcript: Transcript, saying: Saying, *, is_short: bool = False) -> Floor:
        config = self._config
        least = config.min_words + (config.adaptive and self._patience > 1.5) + is_short
        return wish(
            transcript.text,
            saying.text,
            confidence=transcript.confidence,
            least_words=least,
            backchannels=config.backchannels,
            claims=config.stop_words,
        )

    def _begin_to_hear(self, was_heard: bool) -> None:
        if self._is_heard and not was_heard and self._state is _State.SPEECH:
            self._events.append(Overhear(goes_on=False))

    def _weigh(self, now: float) -> None:
        if not self._is_heard:
            self._set_volume(_Volume.FULL)
            return
        match self._state:
            case _State.SPEECH if self._burst.floor is Floor.WANTED and self._config.policy != "duration":
                self._give_way(now, certain=False)
            case _State.SPEECH if now >= self._long_at and self._config.policy == "words":
                self._state = _State.IGNORED
                self._events.append(Disregard())
                self._set_volume(_Volume.FULL)
            case _State.SPEECH if now >= self._long_at:
                self._give_way(now, certain=False)
            case _State.ASKED if now >= self._burst.decide_at:
                self._pass_over(Floor.UNSURE, now)
            case _State.QUIET | _State.IGNORED:
                self._set_volume(_Volume.DUCKED if self._is_hinted else _Volume.FULL)
            case _State.SUSPECTED:
                self._set_volume(_Volume.DUCKED)
            case _State.SPEECH | _State.ASKED:
                self._set_volume(_Volume.HELD if self._config.at_onset == "pause" else _Volume.DUCKED)

    def _give_way(self, now: float, *, certain: bool) -> None:
        """The caller wants the floor."""
        if self._passed_over_at is not None and self._burst.since - self._passed_over_at < _AGAIN_S:
            self._adapt(0.75)
        self._passed_over_at = None
        if self._floor is _Floor.PROTECTED:
            self._events.append(Deferred())
        else:
            self._is_audible = False
            self._events.append(BrokenIn(certain))
        if self._state is _State.ASKED:
            self._state = _State.QUIET
        elif self._state is _State.SPEECH and self._is_audible:
            self._state = _State.IGNORED  # nothing more is to be found out about it
        self._set_volume(_Volume.FULL)

    def _pass_over(self, floor: Floor, now: float) -> None:
        """The caller wants nothing."""
        if floor in (Floor.BACKCHANNEL, Floor.ECHO):
            self._adapt(1.3 if floor is Floor.ECHO else 1.1)
        else:
            self._passed_over_at = now
        self._state = _State.SUSPECTED if self._is_suspicious else _State.QUIET
        self._is_suspicious = False
        self._events.append(Disregard())
        self._set_volume(_Volume.FULL)
        self._weigh(now)

    def _adapt(self, factor: float) -> None:
        self._patience = min(_MOST, max(_LEAST, self._patience * factor))

    def _set_volume(self, wanted: _Volume) -> None:
        if self._config.at_onset == "none" or self._floor is _Floor.PROTECTED:
            wanted = _Volume.FULL
        if wanted is self._volume:
            return
        self._volume = wanted
        match wanted:
            case _Volume.FULL:
                self._events.append(Restore())
            case _Volume.DUCKED:
                self._events.append(Duck())
            case _Volume.HELD:
                self._events.append(Hold())
