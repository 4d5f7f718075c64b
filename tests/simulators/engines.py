# SPDX-License-Identifier: GPL-3.0-or-later
"""The real offline engines, for simulators: what is said to them is really recognised, what they say is real speech.

    async with open_engines() as engines:
        async with SomeServer(recognize=engines.recognize, speak=engines.speak) as server: ...

One set for all simulators of a process, on one pool of threads. Everything belongs to the event loop that opened it;
another thread asks through `in_thread`.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from agent.local.engines import OfflineEngines
from agent.local.models import default_model_folder
from agent.local.receptionist import Receptionist
from agent.services.llm import Conversation, Message, TextDelta, ToolCall
from media.frames import PcmSamples
from media.resample import resample

Recognize = Callable[[PcmSamples, int], Awaitable[str]]
"""Audio, int16, shape (n,), and its rate in Hz, to what was said."""
Speak = Callable[[str, int], Awaitable[PcmSamples]]
"""Text, and a rate in Hz, to its sound."""
Answer = Callable[[Sequence[str]], Awaitable["Answered"]]
"""What the user has said, turn by turn, to the answer to the last of it."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a brain makes of it."""

    text: str
    hangs_up: bool = False


class SimulatorEngines:
    """Ears, a voice and a brain."""

    def __init__(self, engines: OfflineEngines, receptionist: Receptionist) -> None:
        self._engines = engines
        self._receptionist = receptionist

    async def recognize(self, samples: PcmSamples, sample_rate_hz: int) -> str:
        """`Recognize`."""
        stream = await self._engines.stt.open(sample_rate_hz=sample_rate_hz, on_partial=lambda _: None)
        try:
            stream.push(samples)
            return (await stream.final()).text
        finally:
            await stream.aclose()

    async def speak(self, text: str, sample_rate_hz: int) -> PcmSamples:
        """`Speak`."""
        chunks = [chunk async for chunk in self._engines.tts.synthesize(text)]
        if not chunks:
            return np.empty(0, np.int16)
        return resample(np.concatenate([chunk.samples for chunk in chunks]), chunks[0].sample_rate_hz, sample_rate_hz)

    async def answer(self, said: Sequence[str]) -> Answered:
        """`Answer`: the offline receptionist's, of a fictional dental practice."""
        conversation = Conversation(tuple(Message("user", text) for text in said))
        events = [event async for event in self._receptionist.reply(conversation)]
        text = "".join(event.text for event in events if isinstance(event, TextDelta)).strip()
        return Answered(text, any(isinstance(event, ToolCall) and event.name == "hang_up" for event in events))


@asynccontextmanager
async def open_engines(folder: Path | None = None, workers: int = 2) -> AsyncIterator[SimulatorEngines]:
    """Loads them, in some seconds; of the usual model folder when none is named. Raises `ModelError`."""
    engines = await OfflineEngines.load(folder or default_model_folder(os.environ), workers)
    try:
        yield SimulatorEngines(engines, await engines.receptionist())
    finally:
        await engines.aclose()


@contextmanager
def in_thread(workers: int = 2) -> Iterator[tuple[SimulatorEngines, asyncio.AbstractEventLoop]]:
    """The same on a thread with an event loop of its own, which runs simulators as well (`run_coroutine_threadsafe`):
    beside a test that blocks."""
    loop = asyncio.new_event_loop()
    ready: asyncio.Future[SimulatorEngines] = loop.create_future()
    done = asyncio.Event()
    is_ready = threading.Event()

    async def serve() -> None:
        try:
            async with open_engines(workers=workers) as engines:
                ready.set_result(engines)
                is_ready.set()
                await done.wait()
        finally:
            is_ready.set()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    is_ready.wait(60)
    assert ready.done(), "the engines do not load"
    try:
        yield ready.result(), loop
    finally:
        loop.call_soon_threadsafe(done.set)
        thread.join(20)
        loop.close()
