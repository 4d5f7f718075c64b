# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of one agent: the `[agents.NAME]` table of parley.toml, with units and defaults.

The defaults of `turn` were chosen on one half of the utterances of `scripts/bench/endpointing`; README has the figures
of both. A complete question is answered at once; whatever may go on is waited for, at first longer than the longest
pause of that set.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from agent.expectation import ExpectedKind
from agent.services.tts import Emotion

Milliseconds = Annotated[int, Field(ge=0, le=60_000)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class _Table(BaseModel):
    """A table of the configuration file: unknown keys are faults, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SpeechConfig(_Table):
    """When a sound counts as the caller's speech (agent/speech.py)."""

    start_probability: Probability = 0.5
    """Speech begins in a window at least this likely to be speech."""
    end_probability: Probability = 0.35
    """Once it has begun, a window this likely still belongs to it."""
    min_speech_ms: Milliseconds = 128
    """Less than this is a click or a cough's edge: it may duck the agent, it is not speech."""
    min_silence_ms: Milliseconds = 64
    """A shorter gap is part of a word; the silence clock then still starts at the last speech sample."""
    gate_ms: Milliseconds = 300
    """The speech model keeps running this long after the cheap voice detector (media/vad.py) last heard a voice."""
    preroll_ms: Annotated[int, Field(ge=100, le=2_000)] = 500
    """Audio from before the speech was recognised that still goes to speech recognition."""


class TurnConfig(_Table):
    """When the caller has finished (agent/endpointing.py). Waits are silence, counted from the last speech sample."""

    detector: str = "local"
    """End-of-turn model: a name of `[services]`, `local`, or `none` to decide by waits alone."""
    ask_after_ms: Milliseconds = 200
    """Then the transcript and the end-of-turn model are asked, side by side. Models do not judge better later."""
    over_probability: Probability = 0.8
    """The model is believed above this, and the agent answers at once."""
    open_probability: Probability = 0.1
    """Below this the model is believed that a question goes on."""
    short_wait_ms: Milliseconds = 300
    """For words that are a turn by their form (`goodbye`, ten digits of ten), whatever the model says."""
    clear_wait_ms: Milliseconds = 500
    """For a question of which the model is not sure, and for a request or an answer of the kind we asked for, unless it
    rather doubts them (below 0.5)."""
    sure_wait_ms: Milliseconds = 1_600
    """For any other statement of which the model is sure; adapts to the caller's own pauses, from `fluent_wait_ms` to
    `open_wait_ms`."""
    fluent_wait_ms: Milliseconds = 700
    """What `sure_wait_ms` falls to with a caller who speaks without pauses. Also for a sound without words."""
    max_wait_ms: Milliseconds = 1_600
    """For statements of which the model is not sure, requests that it doubts, and words that seldom come alone (`thank
    you`)."""
    open_wait_ms: Milliseconds = 1_700
    """For words that promise more (`and`, `my number is`), whatever the model says."""
    expect: ExpectedKind = "free"
    """What callers answer, unless our own question or a tool tells: `free`, `digits`, `email`, `spelling`, `yes_no`,
    `date`."""
    expect_length: Annotated[int, Field(ge=1, le=64)] | None = None
    """With `digits` and `spelling`: so many are a whole answer."""
    expect_terminator: str | None = None
    """With `digits`: the word that ends them."""
    digit_wait_ms: Milliseconds = 2_000
    """After the last key pressed, unless that was `#`."""

    @model_validator(mode="after")
    def _waits_are_in_order(self) -> Self:
        for names in (
            ("ask_after_ms", "short_wait_ms", "max_wait_ms", "open_wait_ms"),
            ("ask_after_ms", "clear_wait_ms", "open_wait_ms"),
            ("ask_after_ms", "fluent_wait_ms", "sure_wait_ms", "open_wait_ms"),
        ):
            waits_ms = [getattr(self, name) for name in names]
            if waits_ms != sorted(waits_ms):
                raise ValueError(f"waits must not decrease: {', '.join(names)}")
        return self


class InterruptionConfig(_Table):
    """What happens when the caller speaks while the agent speaks (agent/interruption.py)."""

    enabled: bool = True
    """False: the agent finishes what it says, and what the caller said meanwhile is not answered."""
    policy: Literal["any", "words", "duration"] = "any"
    """What tells that the caller wants the floor: words other than back-channels ("uh-huh", "okay"), the length of the
    speech, or whichever comes first. With `words`, sound in which none are recognised is passed over."""
    confirm_ms: Milliseconds = 700
    """Speech of this length wants the floor, whatever its words. Back-channels and coughs are shorter."""
    min_words: Annotated[int, Field(ge=1, le=10)] = 2
    """So many words want the floor; "stop", "wait", "no" and the beginning of a question do so alone."""
    backchannels: tuple[str, ...] = ()
    """More words and phrases that only say "I am listening"; those of English are known."""
    stop_words: tuple[str, ...] = ()
    """More beginnings that want the floor at once; those of English are known."""
    adaptive: bool = True
    """`confirm_ms` grows (at most twofold) for callers with back-channels, echo or noise, and shrinks (to 60 %) for one
    who had to try twice."""
    at_onset: Literal["pause", "duck", "none"] = "pause"
    """Until it is clear: `pause` makes the agent quieter at the first sound and silent once that is speech, and lets it
    go on where it stopped; `duck` only makes it quieter; with `none` it talks on."""
    duck_gain_db: Annotated[float, Field(ge=-60.0, le=0.0)] = -15.0
    """How much quieter that is."""
    repeat_ms: Annotated[int, Field(ge=0, le=400)] = 160
    """An agent that was silent goes on with so much of what it said last: the caller spoke over it."""
    resume: bool = True
    """What the agent was kept from saying by a sound that turns out to have been no speech is said after it."""


class FarEndConfig(_Table):
    """Who takes the calls that the agent places (agent/far_end.py)."""

    recognize: bool = True
    """Tell voicemails, menus, queues and faxes from people. False: talk to whatever answers."""
    voicemail: Literal["hang_up", "message"] = "hang_up"
    """What a voicemail gets: nothing, or `message` once it records."""
    message: str = ""
    max_hold_s: Annotated[int, Field(ge=10, le=3_600)] = 300
    """How long to wait in a queue or for music to end, before hanging up."""

    @model_validator(mode="after")
    def _message_is_there(self) -> Self:
        if (self.voicemail == "message") != bool(self.message):
            raise ValueError('message and voicemail = "message" need each other')
        return self


class DeadlinesConfig(_Table):
    """How long the agent waits for each service before it says so to the caller."""

    stt_open_ms: Milliseconds = 5_000
    stt_final_ms: Milliseconds = 3_000
    """From the question (`turn.ask_after_ms`) on."""
    llm_first_token_ms: Milliseconds = 5_000
    llm_stall_ms: Milliseconds = 5_000
    """Between two pieces of one answer."""
    tts_first_byte_ms: Milliseconds = 3_000
    tts_stall_ms: Milliseconds = 3_000


class PhrasesConfig(_Table):
    """What the agent says on its own account; rendered once when the agent starts."""

    trouble: str = "I'm sorry, I'm having some trouble. Could you say that again?"
    """A service failed."""
    goodbye: str = "I'm sorry, something is not working on our side. Please call again later. Goodbye."
    """Services failed `max_failures` times in a row; then the agent hangs up."""
    max_failures: Annotated[int, Field(ge=1, le=20)] = 3


class VoiceStyleConfig(_Table):
    """How the agent speaks (agent/manner.py): its own way, what its words' markup says, and how the caller sounds."""

    rate: Annotated[float, Field(ge=0.5, le=2.0)] = 1.0
    """Pace; 1.0 is the voice's own."""
    pitch_semitones: Annotated[float, Field(ge=-12.0, le=12.0)] = 0.0
    volume_db: Annotated[float, Field(ge=-20.0, le=6.0)] = 0.0
    emotion: Emotion = "neutral"
    markup: bool = True
    """The language model is told how to mark pace, pitch, volume and emotion. What it marks is never spoken."""
    adapt: bool = True
    """The caller's voice is listened to at the end of a turn: who is agitated is answered more slowly and softly, who
    hesitates is given more time, and the language model is told of both."""


class AgentConfig(_Table):
    """One agent."""

    stt: str = "local"
    """Speech to text: a name of `[services]`, or `local`."""
    llm: str = "local"
    """Language model: a name of `[services]`, or `local` (answers from `knowledge`)."""
    tts: str = "local"
    """Text to speech: a name of `[services]`, or `local`."""
    voice: str | None = None
    """A voice of that speech service; None is its own default."""
    voices: dict[str, str] = Field(default_factory=dict)
    """A voice for each other language that is spoken, by its code."""
    language: str = "en"
    """What callers speak, as an ISO 639-1 code."""
    prompt: str = "You are the receptionist. Answer briefly, in words that are easy to say and to hear."
    """The system prompt."""
    greeting: str = "Hello, how can I help you?"
    """Said when the call is answered; empty: the caller speaks first."""
    greeting_protected: bool = False
    """The greeting is said to its end, whoever speaks over it or presses a key, as a legal notice has to be. What the
    caller says meanwhile is answered after it."""
    knowledge: Path | None = None
    """A folder of Markdown files the agent answers from; None is the example that comes with Parley."""
    hints: tuple[str, ...] = ()
    """Names and words of the trade that speech recognition should expect."""
    tools: tuple[str, ...] = ("hang_up",)
    """What the model may do besides talking; `hang_up` is the only tool so far."""
    secret_keys: bool = False
    """What callers key in is secret: `*` to the language model and in the record."""
    speech: SpeechConfig = SpeechConfig()
    turn: TurnConfig = TurnConfig()
    interruption: InterruptionConfig = InterruptionConfig()
    far_end: FarEndConfig = FarEndConfig()
    deadlines: DeadlinesConfig = DeadlinesConfig()
    phrases: PhrasesConfig = PhrasesConfig()
    voice_style: VoiceStyleConfig = VoiceStyleConfig()
    speculation: Literal["off"] = "off"
    """Answering before the turn is over: only `off` so far."""
    realtime: Literal["off"] = "off"
    """A speech-to-speech service instead of stt, llm and tts: only `off` so far."""
