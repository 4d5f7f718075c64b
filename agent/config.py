# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of one agent: the `[agents.NAME]` table of parley.toml, with units and defaults.

The defaults of `turn` were chosen on one half of the utterances of `scripts/bench/endpointing`; README has the figures
of both. A complete question is answered at once; whatever may go on is waited for, at first longer than the longest
pause of that set.
"""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from agent.expectation import ExpectedKind
from agent.redaction.kinds import Kind
from agent.services.tts import Emotion, SpeechStyle
from agent.tools.config import ToolUseConfig

Milliseconds = Annotated[int, Field(ge=0, le=60_000)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class _Table(BaseModel):
    """A table of the configuration file: unknown keys are faults, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


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
    request_probability: Probability = 0.5
    """Below this the model is believed that a request, or an answer of the kind we asked for, goes on. The trade-off
    against cut-offs is measured in `scripts/bench/endpointing`."""
    short_wait_ms: Milliseconds = 300
    """For words that are a turn by their form (`goodbye`, ten digits of ten), whatever the model says."""
    clear_wait_ms: Milliseconds = 500
    """For a question of which the model is not sure, and for a request or an answer of the kind we asked for, unless it
    doubts them."""
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
    protected: bool = False
    """True: the agent finishes what it says, and what the caller said meanwhile is answered after it."""
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
    greet_after_s: Annotated[float, Field(ge=0, le=30)] = 2.0
    """On a call that it placed the agent greets when the far end has said "hello" and pauses; so long after the answer
    it greets those who say nothing, too: the silence of somebody who waits is not told from that of somebody who has
    not got the phone to the ear yet, which takes a second. 0: at once, without waiting."""
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
    stt_final_ms: Milliseconds = 1_000
    """From the question (`turn.ask_after_ms`) on. Then the last partial transcript has to do, if there is one."""
    llm_first_token_ms: Milliseconds = 5_000
    llm_stall_ms: Milliseconds = 5_000
    """Between two pieces of one answer."""
    tts_first_byte_ms: Milliseconds = 3_000
    tts_stall_ms: Milliseconds = 1_500
    retry_within_ms: Milliseconds = 1_000
    """A service that fails so soon, before anything of its answer was used, is asked once more; 0: never."""


class PhrasesConfig(_Table):
    """What the agent says on its own account; rendered once when the agent starts."""

    trouble: str = "I'm sorry, I'm having some trouble. Could you say that again?"
    """A service failed."""
    goodbye: str = "I'm sorry, something is not working on our side. Please call again later. Goodbye."
    """Services failed `max_failures` times in a row; then the agent hangs up."""
    max_failures: Annotated[int, Field(ge=1, le=20)] = 3
    do_not_call: str = "I am sorry to have bothered you. You will not be called again. Goodbye."
    """Said, in place of the model's answer, to whoever asks not to be called any more (agent/do_not_call.py); then the
    agent hangs up. Empty: the request is kept all the same, and the model answers."""
    taken_over: str = "Sorry, I lost you for a moment."
    """Said when the call had to move to another gateway; then what was not answered is answered. Empty: nothing."""
    filler: tuple[str, ...] = ("One moment, please.", "I am still working on it.")
    """Said, each once, while an answer is being prepared and nothing else is to be heard; empty: nothing."""
    filler_after_ms: Milliseconds = 1_300
    """Of silence: since the caller's last word, or ours."""
    filler_again_ms: Milliseconds = 2_500


class SilenceConfig(_Table):
    """When the caller says nothing, and when a call has lasted too long (agent/silence.py)."""

    reprompt_after_s: Annotated[float, Field(ge=0, le=600)] = 10.0
    """Quiet after which the caller is asked whether they are there; 0: never, and silence never ends the call."""
    max_reprompts: Annotated[int, Field(ge=0, le=20)] = 3
    """Asked so often in vain, the agent says goodbye and hangs up; a turn of the caller's starts the count anew."""
    phrases: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "Are you still there?",
        "I am still here. What can I do for you?",
        "I cannot hear you. Please say something, or press any key.",
    )
    """The first, second... prompt; the last one is said from then on."""
    goodbye: str = "I cannot hear you, so I will hang up now. Please call again. Goodbye."
    asked_to_wait_s: Annotated[float, Field(ge=0, le=600)] = 60.0
    """In place of `reprompt_after_s` when the caller has said "one moment, please"."""
    max_call_s: Annotated[float, Field(ge=0, le=86_400)] = 7_200.0
    """The agent ends longer calls; 0: never."""
    warn_before_s: Annotated[float, Field(ge=0, le=3_600)] = 60.0
    """So long before the end the caller is told; 0: not at all."""
    call_ends_soon: str = "I have to tell you that our call will end in about a minute."
    call_over: str = "I am sorry, our time is up. Please call again if there is more. Goodbye."


class MemoryConfig(_Table):
    """What is kept of a caller from one call to the next (agent/recollection.py)."""

    remember: Literal["off", "ask", "on"] = "off"
    """Whether an agent remembers who called and what they asked. `ask`: callers are asked once; `on`: you have their
    consent by other means. "Forget me" erases, in either case."""
    expire_days: Annotated[int, Field(ge=1, le=3_650)] = 90
    """So long after a call it is remembered, and a consent or refusal after it was given."""
    match: Literal["uri", "number"] = "uri"
    """Who is the same caller: the whole SIP address of the From header, or its user part alone, for trunks that say the
    number in it and change the host. Withheld numbers are nobody."""
    resume_within_s: Annotated[float, Field(ge=0, le=86_400)] = 600.0
    """A caller whose call broke off (no goodbye, no hang-up: the process died, the network was lost) and who calls
    again within that time goes on where it was; 0: never. Turn it off where many people call from one address."""
    welcome_back: str = "Welcome back, we were interrupted. Please go on."
    """Said then, in place of the greeting."""
    ask: str = "May I remember what we talked about, for the next time you call?"
    """With `remember = "ask"`, after the first answer."""
    forgotten: str = "I have erased what I remembered about you."
    hello: str = "Hello {name}, welcome back."
    """In place of the greeting when a caller is remembered, with or without a name; empty: the usual greeting."""
    hello_unnamed: str = "Welcome back."
    last_time: str = 'Last time you asked: "{question}"'
    """Comes next; empty: earlier questions are not mentioned unless the caller asks."""
    how_to_help: str = "How can I help you today?"


def _located(value: str, info: ValidationInfo) -> str:
    """A path is relative to the configuration file's folder, a URL is what it is."""
    if is_url(value):
        if urlsplit(value).scheme not in ("https", "http") or not urlsplit(value).hostname:
            raise ValueError("must be a path, or a URL that begins with https:// or http://")
        return value
    folder = (info.context or {}).get("folder", Path())
    return str(Path(folder) / Path(value).expanduser())


def is_url(source: str) -> bool:
    """Whether a source of knowledge is on the web."""
    return "://" in source


class KnowledgeConfig(_Table):
    """`[agents.NAME] knowledge = "folder"`, a list of sources, or this table."""

    sources: Annotated[tuple[Annotated[str, AfterValidator(_located)], ...], Field(min_length=1)]
    """Folders, files (Markdown, HTML, CSV, PDF) and URLs."""
    check_s: Annotated[float, Field(ge=0, le=86_400)] = 10.0
    """How often the files are looked at for changes; 0: never."""
    refresh_s: Annotated[float, Field(ge=10, le=30 * 86_400)] = 3_600.0
    """How often pages on the web are asked for again; only while `check_s` is not 0."""
    max_file_mib: Annotated[int, Field(ge=1, le=64)] = 8
    """A larger document is refused."""
    passages: Annotated[int, Field(ge=1, le=20)] = 4
    """How many of them a language model is shown at most."""
    threshold: Probability | None = None
    """What fits a question less well is no answer to it. None: 0.58 for answers that are spoken as they stand, 0.35 for
    what a language model is shown."""


def _sources_alone(value: object) -> object:
    match value:
        case str() | Path():
            return {"sources": [str(value)]}
        case list() | tuple():
            return {"sources": value}
    return value


class IntentConfig(_Table):
    """`[agents.NAME.intents]`: `LABEL = ["an example", ...]`, or `[agents.NAME.intents.LABEL]` with what follows."""

    examples: Annotated[tuple[str, ...], Field(min_length=1)]
    """How callers say it, in whole sentences: five or more help."""


def _examples_alone(value: object) -> object:
    return {"examples": value} if isinstance(value, list | tuple) else value


Intent = Annotated[IntentConfig, BeforeValidator(_examples_alone)]


class SpeculationConfig(_Table):
    """Answering before the turn is over (agent/speculation.py). What was prepared is heard only if the turn ends so."""

    mode: Literal["off", "text", "speech"] = "speech"
    """How far: `text` asks the language model, `speech` renders the first clause, too."""
    stable_ms: Milliseconds = 80
    """The caller is silent, and the words have been the same for so long: they are worth a try."""
    max_per_turn: Annotated[int, Field(ge=1, le=20)] = 3
    """Tries; each costs what an answer costs."""
    max_per_call: Annotated[int, Field(ge=1, le=10_000)] = 200


class AnswersConfig(_Table):
    """Answers of a hosted language model used again for other callers (agent/answers.py)."""

    cache: bool = False
    ttl_s: Annotated[float, Field(ge=1, le=30 * 86_400)] = 3_600.0
    """So long after it was given an answer is used again."""
    max_entries: Annotated[int, Field(ge=1, le=2_000)] = 200
    """More than these: the least recently used is dropped."""
    threshold: Annotated[float, Field(ge=0.5, le=1.0)] = 0.9
    """How close (cosine) the question has to be; days, numbers, names and negations have to be the same anyway."""


class LookupConfig(_Table):
    """What your own systems know of a caller, asked when a call begins (gateway/lookup.py)."""

    url: Annotated[str, Field(pattern=r"^https?://")]
    """Gets `{"caller", "metadata"}` by POST, answers with a JSON object."""
    headers: dict[str, SecretStr] = {}
    """Of the request: `Authorization`, say."""
    timeout_ms: Annotated[int, Field(ge=100, le=30_000)] = 3_000


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

    @property
    def style(self) -> SpeechStyle:
        """Of everything that is said."""
        return SpeechStyle(self.rate, self.pitch_semitones, self.volume_db, self.emotion)


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
    knowledge: Annotated[KnowledgeConfig | None, BeforeValidator(_sources_alone)] = None
    """What the agent answers from; None is the example that comes with Parley."""
    intents: dict[str, Intent] = {}
    """What callers may want, recognised while they speak (agent/intents.py)."""
    hints: tuple[str, ...] = ()
    """Names and words of the trade that speech recognition should expect."""
    tools: tuple[str, ...] = ("hang_up",)
    """What the model may do besides talking (docs/tools.md): `hang_up`, `transfer`, `send_dtmf`, `hold`, `resume`,
    `expect`, `collect_digits`, `do_not_call`, names of `[tools]`, and `NAME.*` for all that a server has. The
    offline receptionist knows `hang_up` alone."""
    tool_use: ToolUseConfig = ToolUseConfig()
    transfers: dict[str, str] = {}
    """Who callers may be put through to, and nobody else: name (which the model knows) to SIP URI or number."""
    secret_keys: bool = False
    """What callers key in is secret: `*` to the language model and in the record."""
    redact: tuple[Kind, ...] | None = None
    """Personal data that is taken out of all that is kept and told of what was said (agent/redaction): `cards`, `iban`,
    `emails`, `birthdates`, `numbers`, `names`. The agent itself hears them. None: as `[redaction]` has it."""
    speech: SpeechConfig = SpeechConfig()
    turn: TurnConfig = TurnConfig()
    interruption: InterruptionConfig = InterruptionConfig()
    far_end: FarEndConfig = FarEndConfig()
    deadlines: DeadlinesConfig = DeadlinesConfig()
    phrases: PhrasesConfig = PhrasesConfig()
    silence: SilenceConfig = SilenceConfig()
    memory: MemoryConfig = MemoryConfig()
    voice_style: VoiceStyleConfig = VoiceStyleConfig()
    speculation: SpeculationConfig = SpeculationConfig()
    """Answering before the turn is over; `"off"`, `"text"` or `"speech"` is short for a table with that `mode`."""
    answers: AnswersConfig = AnswersConfig()
    lookup: LookupConfig | None = None
    """Needs a language model of your own: the offline one does not read notes."""
    realtime: str = "off"
    """A speech-to-speech service in place of stt, llm and tts: a name of `[services]`, or `off`."""

    @field_validator("speculation", mode="before")
    @classmethod
    def _mode_alone(cls, value: object) -> object:
        return {"mode": value} if isinstance(value, str) else value
