# SPDX-License-Identifier: GPL-3.0-or-later
"""A real round trip of every configured service, for `parley doctor --services`: recognition hears a sentence that the
offline voice has spoken, a language model answers one, a voice says one, a speech-to-speech service opens a session.

All are tried side by side, each with a client of its own that has no connection yet. What services say stays here: a
probe tells times and verdicts.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np

from agent.errors import ServiceError, ServiceRejected
from agent.local import catalogue
from agent.local.inference import InferencePool
from agent.local.piper import PiperTextToSpeech, PiperVoiceModel
from agent.services.llm import Conversation, LanguageModel, Message, TextDelta
from agent.services.realtime import (
    AnswerEnded,
    AnswerFailed,
    AnswerSound,
    SpeechToSpeech,
    TalkLost,
    TalkNews,
    TalkOrder,
)
from agent.services.stt import SpeechToText, Transcript
from agent.services.tts import TextToSpeech
from gateway.config import Config
from gateway.services import casting
from gateway.services.kinds import CHAIN, Role, make_client, roles_of
from gateway.services.opening import service_settings
from media.frames import PcmSamples
from media.resample import resample

_TIMEOUT_S = 30.0
_HZ = 16_000
_FRAME = _HZ // 50
_PAUSE_S = 0.2
"""As long a pause as an agent waits before it asks for the words (`turn.ask_after_ms`)."""
_SPOKEN = "What are your opening hours on Saturday afternoon?"
_ASKED = "Please say good morning."
_SAID = "Good morning, how can I help you?"
_HEARD_ENOUGH = 0.5

Status = Literal["ok", "fail", "unused"]


@dataclass(frozen=True, slots=True)
class Probe:
    """One service in one role."""

    service: str
    kind: str
    role: str
    status: Status
    connect_ms: float | None = None
    """Until a connection was there: resolving, TCP, TLS, upgrade."""
    first_ms: float | None = None
    """Then, with a warm connection: end of the sentence to its transcript, question to first token, clause to first
    sound, begin to session."""
    total_ms: float | None = None
    """Likewise, until the end of the answer."""
    detail: str = ""
    fix: str = ""

    def as_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(slots=True)
class _Marks:
    """The times of a probe as they are taken."""

    connect_ms: float | None = None
    first_ms: float | None = None
    total_ms: float | None = None
    _began_at: float = field(default_factory=time.monotonic)

    def begin(self) -> None:
        self._began_at = time.monotonic()

    def connected(self) -> None:
        self.connect_ms = self._since()

    def first(self) -> None:
        if self.first_ms is None:
            self.first_ms = self._since()

    def over(self) -> None:
        self.total_ms = self._since()

    def _since(self) -> float:
        return round((time.monotonic() - self._began_at) * 1e3, 1)


async def probe_services(config: Config) -> list[Probe]:
    """All of them, in the order of the configuration. Raises `ModelError` when there is no voice to speak with."""
    wanted = list(_wanted(config))
    sentence = await _sentence(config) if any(role == "stt" for _, role in wanted) else np.empty(0, np.int16)
    async with asyncio.TaskGroup() as tasks:
        probing = [
            tasks.create_task(_probe(config, name, role, sentence), name=f"probe-{name}") for name, role in wanted
        ]
    return [task.result() for task in probing]


def _wanted(config: Config) -> Iterator[tuple[str, Role | None]]:
    """Every service with its roles; None: nobody uses it, and its kind has several."""
    roles: dict[str, list[Role]] = {}
    for name, role in casting.cast(config):
        roles.setdefault(name, []).append(role)
    for name, service in config.services.items():
        if service.kind == CHAIN:
            continue  # its members are tried
        played: list[Role] = roles.get(name) or list(roles_of(service.kind))
        if name in roles or len(played) == 1:
            yield from ((name, role) for role in played)
        else:
            yield name, None


async def _probe(config: Config, name: str, role: Role | None, sentence: PcmSamples) -> Probe:
    kind = config.services[name].kind
    if role is None:
        able = ", ".join(roles_of(kind))
        return Probe(name, kind, "", "unused", detail=f"no agent names it, and it can be {able}: not tried")
    marks = _Marks()
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            detail = await _round_trip(config, name, role, sentence, marks)
    except TimeoutError:
        failure, fix = f"no answer within {_TIMEOUT_S:.0f} s", f"see whether services.{name}.url is reached from here"
    except ServiceError as error:
        failure, fix = error.detail, _cure(name, error)
    except Exception as error:  # of a client: whatever it is, it is to be seen here
        failure, fix = f"broke down ({type(error).__name__})", "this is a fault of Parley: please report it"
    else:
        return Probe(name, kind, role, "ok", marks.connect_ms, marks.first_ms, marks.total_ms, detail)
    return Probe(name, kind, role, "fail", marks.connect_ms, marks.first_ms, marks.total_ms, failure, fix)


def _cure(name: str, error: ServiceError) -> str:
    if isinstance(error, ServiceRejected):
        return f"check the key, the model and the voice of services.{name}"
    return f"check services.{name}.url and the way there (DNS, proxy, firewall), or ask again later"


async def _round_trip(config: Config, name: str, role: Role, sentence: PcmSamples, marks: _Marks) -> str:
    service = config.services[name]
    client = make_client(service.kind, role, service_settings(name, service), lambda usage: None)
    try:
        marks.begin()
        await client.warm()
        marks.connected()
        return await _TRIALS[role](client, _Setting.of(config, name, role), sentence, marks)
    finally:
        await client.aclose()


@dataclass(frozen=True, slots=True)
class _Setting:
    """What the first agent that uses the service wants of it."""

    language: str
    voice: str | None

    @classmethod
    def of(cls, config: Config, name: str, role: Role) -> "_Setting":
        for agent in config.agents.values():
            if name in casting.members(config.services, casting.named_by(agent).get(role, "")):
                return cls(agent.language, agent.voice)
        return cls("en", None)


async def _hear(client: SpeechToText, setting: _Setting, sentence: PcmSamples, marks: _Marks) -> str:
    partials: list[Transcript] = []
    stream = await client.open(sample_rate_hz=_HZ, on_partial=partials.append, language=setting.language)
    marks.connected()
    try:
        await _in_real_time(stream.push, sentence)
        marks.begin()
        heard = await stream.final()
        marks.first()
        marks.over()
    finally:
        await stream.aclose()
    if setting.language != "en":
        return f"heard something; the sentence was English, agents speak {setting.language}"
    found, all_words = _words(heard.text), _words(_SPOKEN)
    known = len(found & all_words)
    if known < _HEARD_ENOUGH * len(all_words):
        raise ServiceRejected("stt", f"understood {known} of {len(all_words)} words")
    return f"understood {known} of {len(all_words)} words, {len(partials)} partial transcripts"


async def _in_real_time(push: Callable[[PcmSamples], None], sentence: PcmSamples) -> None:
    began_at = time.monotonic()
    for begin in range(0, len(sentence), _FRAME):
        push(sentence[begin : begin + _FRAME])
        await asyncio.sleep(max(0.0, began_at + (begin + _FRAME) / _HZ - time.monotonic()))


async def _answer(client: LanguageModel, setting: _Setting, _: PcmSamples, marks: _Marks) -> str:
    messages = (Message("system", "You answer in one short sentence."), Message("user", _ASKED))
    words = 0
    marks.begin()
    async for event in client.reply(Conversation(messages)):
        marks.first()
        words += len(event.text.split()) if isinstance(event, TextDelta) else 0
    marks.over()
    if not words:
        raise ServiceRejected("llm", "answered without words")
    return "answered"


async def _speak(client: TextToSpeech, setting: _Setting, _: PcmSamples, marks: _Marks) -> str:
    seconds = 0.0
    loudest = 0
    marks.begin()
    async for chunk in client.synthesize(_SAID, voice=setting.voice):
        marks.first()
        seconds += len(chunk.samples) / chunk.sample_rate_hz
        loudest = max(loudest, int(np.abs(chunk.samples.astype(np.int32)).max(initial=0)))
    marks.over()
    if not loudest:
        raise ServiceRejected("tts", "sent nothing to be heard")
    return f"{seconds:.1f} s of speech"


async def _converse(client: SpeechToSpeech, setting: _Setting, _: PcmSamples, marks: _Marks) -> str:
    news: asyncio.Queue[TalkNews] = asyncio.Queue()
    order = TalkOrder(_HZ, "You are being tested. Be brief.", setting.voice or "", setting.language)
    stream = await client.open(order, news.put_nowait)
    marks.connected()
    seconds = 0.0
    try:
        marks.begin()
        stream.say(_SAID)
        while not isinstance(one := await news.get(), AnswerEnded):
            match one:
                case AnswerSound(_, samples, rate_hz):
                    marks.first()
                    seconds += len(samples) / rate_hz
                case AnswerFailed(error) | TalkLost(error):
                    raise error
                case _:
                    pass
        marks.over()
    finally:
        await stream.aclose()
    if not seconds:
        raise ServiceRejected("realtime", "sent nothing to be heard")
    return f"{seconds:.1f} s of speech"


_TRIALS: dict[Role, Callable[[Any, _Setting, PcmSamples, _Marks], Awaitable[str]]] = {
    "stt": _hear,
    "llm": _answer,
    "tts": _speak,
    "realtime": _converse,
}


def _words(text: str) -> set[str]:
    return {"".join(filter(str.isalnum, word)).lower() for word in text.split()} - {""}


async def _sentence(config: Config) -> PcmSamples:
    """Spoken by the offline voice, with the pause behind it."""
    folder = config.models.folder
    pool = InferencePool(1)
    try:
        model = await asyncio.to_thread(
            PiperVoiceModel, folder / catalogue.PIPER_VOICE, folder / catalogue.PIPER_CONFIG
        )
        voice = PiperTextToSpeech(model, pool)
        chunks = [chunk async for chunk in voice.synthesize(_SPOKEN)]
    finally:
        await pool.aclose()
    speech = np.concatenate([chunk.samples for chunk in chunks])
    return np.concatenate((resample(speech, model.sample_rate_hz, _HZ), np.zeros(round(_PAUSE_S * _HZ), np.int16)))
