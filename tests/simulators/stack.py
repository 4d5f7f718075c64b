# SPDX-License-Identifier: GPL-3.0-or-later
"""Every vendor's simulator at once, and the configuration that leads to them.

    python -m tests.simulators.stack FILE              scripted words and sounds: for loads and latencies
    python -m tests.simulators.stack FILE --engines    real words and sounds, by the offline engines

Writes `[services.*]` and an agent for each way through them into FILE (TOML) once all listen, and serves until it is
ended.
"""

import argparse
import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.simulators.answer_server import Answer, AnswerRequest, AnswerServer, Call, Say, Script, Wait
from tests.simulators.anthropic import AnthropicServer
from tests.simulators.assemblyai import AssemblyAiServer
from tests.simulators.azure_stt import AzureSttServer
from tests.simulators.azure_tts import AzureTtsServer
from tests.simulators.cartesia import CartesiaServer
from tests.simulators.deepgram import DeepgramServer
from tests.simulators.deepgram_speak import DeepgramSpeakServer
from tests.simulators.elevenlabs import ElevenLabsServer
from tests.simulators.engines import SimulatorEngines, open_engines
from tests.simulators.gemini import GeminiServer
from tests.simulators.http_speech import HttpSpeechService
from tests.simulators.openai_chat import OpenAiChatServer
from tests.simulators.openai_realtime_stt import OpenAiRealtimeSttServer
from tests.simulators.openai_responses import OpenAiResponsesServer
from tests.simulators.openai_speech import OpenAiSpeechServer
from tests.simulators.openai_transcription import OpenAiTranscriptionServer
from tests.simulators.speaking import Speech
from tests.simulators.speech_session import SpeechService

KEY = "simulated"


@dataclass(frozen=True, slots=True)
class Simulated:
    """One service, as `[services.NAME]` has it."""

    name: str
    kind: str
    url: str
    model: str = ""
    voice: str = ""

    @property
    def toml(self) -> str:
        keys = {"kind": self.kind, "url": self.url, "api_key": KEY, "model": self.model, "voice": self.voice}
        lines = (f'{key} = "{value}"' for key, value in keys.items() if value)
        return "\n".join((f"[services.{self.name}]", *lines, ""))


@dataclass(frozen=True, slots=True)
class SimulatedAgent:
    """An agent that uses some of them; dialled by its name."""

    name: str
    keys: Mapping[str, str]

    @property
    def toml(self) -> str:
        lines = (f'{key} = "{value}"' for key, value in self.keys.items())
        agent = "\n".join((f"[agents.{self.name}]", *lines, ""))
        return f'[[route]]\nmatch = "{self.name}"\naction = "agent"\nagent = "{self.name}"\n{agent}'


AGENTS = (
    SimulatedAgent("openai", {"stt": "deepgram_ears", "llm": "openai_brain", "tts": "elevenlabs_voice"}),
    SimulatedAgent("anthropic", {"stt": "assemblyai_ears", "llm": "anthropic_brain", "tts": "cartesia_voice"}),
    SimulatedAgent("gemini", {"stt": "deepgram_ears", "llm": "gemini_brain", "tts": "deepgram_voice"}),
    SimulatedAgent("responses", {"stt": "assemblyai_ears", "llm": "openai_responses_brain", "tts": "openai_voice"}),
    SimulatedAgent("azure", {"stt": "azure_ears", "llm": "openai_brain", "tts": "azure_voice"}),
    SimulatedAgent("uploads", {"stt": "openai_ears", "llm": "openai_brain", "tts": "openai_voice"}),
    SimulatedAgent("transcription", {"stt": "openai_realtime_ears", "llm": "openai_brain", "tts": "azure_voice"}),
)


@dataclass(frozen=True, slots=True)
class Stack:
    services: tuple[Simulated, ...]

    def agent(self, name: str) -> SimulatedAgent:
        return next(agent for agent in AGENTS if agent.name == name)

    @property
    def toml(self) -> str:
        """For parley.toml: services, routes and agents."""
        return "\n".join([*(service.toml for service in self.services), *(agent.toml for agent in AGENTS)])


@asynccontextmanager
async def open_stack(engines: SimulatorEngines | None = None) -> AsyncIterator[Stack]:
    """All of them listen, on free ports of this machine. None: what they say is scripted."""
    async with AsyncExitStack() as stack:
        recognize = None if engines is None else engines.recognize
        services = []
        for kind, ears in _EARS.items():
            service = ears(WORDS, recognize=recognize, key=KEY)
            await stack.enter_async_context(service)
            services.append(Simulated(f"{kind}_ears", kind, service.url, model=_EAR_MODELS.get(kind, "")))
        for kind, voices in _VOICES.items():
            speech = Speech(None if engines is None else engines.speak, _CHUNK_BYTES, first_s=_FIRST_SOUND_S)
            server = voices(speech, key=KEY)
            await stack.enter_async_context(server)
            services.append(Simulated(f"{kind}_voice", kind, server.url, model="simulated", voice="simulated"))
        answer = _brain(engines)
        for kind, brains in _BRAINS.items():
            brain = stack.enter_context(brains.in_thread(answer))
            services.append(Simulated(f"{kind}_brain", kind, brain.url, model="simulated"))
        yield Stack(tuple(services))


_EARS: Mapping[
    str,
    type[DeepgramServer | AssemblyAiServer | AzureSttServer | OpenAiRealtimeSttServer | OpenAiTranscriptionServer],
] = {
    "deepgram": DeepgramServer,
    "assemblyai": AssemblyAiServer,
    "azure": AzureSttServer,
    "openai": OpenAiTranscriptionServer,
    "openai_realtime": OpenAiRealtimeSttServer,
}
_EAR_MODELS = {"openai": "whisper-1"}
WORDS = ["What", "are", "your", "opening", "hours", "on", "Saturday?"] * 100
_VOICES: Mapping[str, type[SpeechService | HttpSpeechService]] = {
    "elevenlabs": ElevenLabsServer,
    "cartesia": CartesiaServer,
    "deepgram": DeepgramSpeakServer,
    "openai": OpenAiSpeechServer,
    "azure": AzureTtsServer,
}
_CHUNK_BYTES = 3200
_FIRST_SOUND_S = 0.1
_BRAINS: Mapping[str, type[AnswerServer]] = {
    "openai": OpenAiChatServer,
    "openai_responses": OpenAiResponsesServer,
    "anthropic": AnthropicServer,
    "gemini": GeminiServer,
}


@contextmanager
def in_thread() -> Iterator[Stack]:
    """The same, scripted, on a thread with an event loop of its own: beside a test that blocks."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    exits = AsyncExitStack()
    try:
        yield asyncio.run_coroutine_threadsafe(exits.enter_async_context(open_stack()), loop).result(30)
    finally:
        asyncio.run_coroutine_threadsafe(exits.aclose(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


SCRIPTED: Script = [Wait(0.2), Say("Yes, of course. We are open from nine to five, Monday to Friday.", every_s=0.01)]


def _brain(engines: SimulatorEngines | None) -> Answer:
    """Runs on the simulator's thread, and waits there for the engines."""
    if engines is None:
        return lambda _: SCRIPTED
    loop = asyncio.get_running_loop()

    def answer(request: AnswerRequest) -> Script:
        answered = asyncio.run_coroutine_threadsafe(engines.answer(said_in(request.body)), loop).result(20)
        ends: Script = [Call("hang_up")] if answered.hangs_up else []
        return [Say(answered.text), *ends]

    return answer


def said_in(body: Mapping[str, Any]) -> Sequence[str]:
    """What the user has said: the text of his messages, whatever the vendor calls them."""
    messages = body.get("messages") or body.get("contents") or body.get("input") or ()
    found: list[str] = []
    for message in messages:
        if message.get("role") == "user":
            content = message.get("content", message.get("parts"))
            parts = [content] if isinstance(content, str) else [part.get("text") for part in content or ()]
            found.extend(part for part in parts if part)
    return found


async def _serve(file: Path, *, with_engines: bool) -> None:
    async with AsyncExitStack() as stack:
        engines = await stack.enter_async_context(open_engines()) if with_engines else None
        simulators = await stack.enter_async_context(open_stack(engines))
        begun = file.with_suffix(".begun")
        begun.write_text(simulators.toml)
        begun.rename(file)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--engines", action="store_true")
    options = parser.parse_args()
    asyncio.run(_serve(options.file, with_engines=options.engines))


if __name__ == "__main__":
    main()
