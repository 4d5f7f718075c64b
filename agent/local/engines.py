# SPDX-License-Identifier: GPL-3.0-or-later
"""All offline engines, loaded together: what a gateway needs to hold a conversation without any service."""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import structlog

from agent.knowledge.indexing import OnIndexing, unheard
from agent.knowledge.library import Knowledge
from agent.knowledge.reading import DEFAULT_FOLDER, DEFAULT_MAX_FILE_MIB
from agent.knowledge.sources import Files, Source
from agent.local import catalogue
from agent.local.embedding import QueryVectors
from agent.local.inference import InferencePool, Priority
from agent.local.minilm import SentenceEmbedder
from agent.local.models import check_models
from agent.local.piper import PiperTextToSpeech, PiperVoiceModel
from agent.local.receptionist import Receptionist
from agent.local.silero import SileroModel, SileroVad
from agent.local.smart_turn import SmartTurnDetector, SmartTurnModel
from agent.local.whisper import WhisperSpeechToText
from agent.local.whisper_model import QUICK, WhisperModel

T = TypeVar("T")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OfflineEngines:
    """One of each engine, shared by all calls, around one inference pool."""

    pool: InferencePool
    stt: WhisperSpeechToText
    tts: PiperTextToSpeech
    turn_detector: SmartTurnDetector
    silero: SileroModel
    embedder: SentenceEmbedder
    queries: QueryVectors
    """What callers say, embedded once for all who ask."""
    loaded_in_s: float
    rss_mib: int
    """Resident memory of the whole process after loading."""

    @classmethod
    async def load(cls, model_folder: Path, workers: int | None = None) -> "OfflineEngines":
        """Load everything side by side, and let each engine compute once. Raises `ModelError`.

        `workers` defaults to the cores this process may use.
        """
        started = time.monotonic()
        await asyncio.to_thread(check_models, model_folder)
        pool = InferencePool(workers)

        async def load(engine: Callable[[], T]) -> T:
            # In the pool's threads, so that what an engine starts itself inherits their niceness.
            return await pool.run(Priority.FINAL, engine)

        try:
            voice, whisper, smart_turn, silero, embedder = await asyncio.gather(
                load(lambda: _load_voice(model_folder)),
                load(lambda: _load_whisper(model_folder, pool.workers)),
                load(lambda: _load_smart_turn(model_folder)),
                load(lambda: SileroModel(model_folder / catalogue.SILERO_MODEL)),
                load(lambda: _load_embedder(model_folder)),
            )
        except BaseException:  # cancelled, too: the threads must not outlive the attempt
            await pool.aclose()
            raise
        engines = cls(
            pool=pool,
            stt=WhisperSpeechToText(whisper, pool),
            tts=PiperTextToSpeech(voice, pool),
            turn_detector=SmartTurnDetector(smart_turn, pool),
            silero=silero,
            embedder=embedder,
            queries=QueryVectors(embedder, pool),
            loaded_in_s=time.monotonic() - started,
            rss_mib=resident_mib(),
        )
        _log.info(
            "offline_engines_loaded",
            seconds=round(engines.loaded_in_s, 2),
            rss_mib=engines.rss_mib,
            workers=pool.workers,
        )
        return engines

    async def receptionist(self, knowledge_folder: Path | None = None) -> Receptionist:
        """The answering brain on a folder of documents; without one, a fictional dental practice.

        Raises `KnowledgeError`.
        """
        return Receptionist(await self.knowledge([Files(knowledge_folder or DEFAULT_FOLDER)]))

    async def knowledge(
        self,
        sources: Sequence[Source],
        *,
        folder: Path | None = None,
        check_s: float = 0.0,
        max_file_mib: int = DEFAULT_MAX_FILE_MIB,
        on_indexing: OnIndexing = unheard,
    ) -> Knowledge:
        """What these sources say; arguments as of `Knowledge`. Raises `KnowledgeError`."""
        knowledge = Knowledge(
            sources,
            self.embedder,
            self.pool,
            self.queries,
            folder=folder,
            check_s=check_s,
            max_file_mib=max_file_mib,
            on_indexing=on_indexing,
        )
        await knowledge.open()
        return knowledge

    def new_vad(self, sample_rate_hz: int) -> SileroVad:
        """A neural voice activity detector for one call."""
        return SileroVad(self.silero, sample_rate_hz)

    async def aclose(self) -> None:
        """Let what computes finish, cancel what waits."""
        await self.pool.aclose()


def resident_mib() -> int:
    """Resident memory of this process, from /proc."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


# The first run of a model allocates and compiles: not in the first caller's time.


def _load_voice(folder: Path) -> PiperVoiceModel:
    voice = PiperVoiceModel(folder / catalogue.PIPER_VOICE, folder / catalogue.PIPER_CONFIG)
    for _ in voice.render("Hello.", 1.0):
        pass
    return voice


def _load_whisper(folder: Path, parallel: int) -> WhisperModel:
    whisper = WhisperModel(folder / catalogue.WHISPER_FOLDER, parallel)
    whisper.decode(np.zeros(8000, np.float32), QUICK)
    return whisper


def _load_embedder(folder: Path) -> SentenceEmbedder:
    embedder = SentenceEmbedder(folder / catalogue.MINILM_MODEL, folder / catalogue.MINILM_TOKENIZER)
    embedder.embed(["Hello."])
    return embedder


def _load_smart_turn(folder: Path) -> SmartTurnModel:
    smart_turn = SmartTurnModel(folder / catalogue.SMART_TURN_MODEL)
    smart_turn.judge(np.zeros(8000, np.int16), 8000)
    return smart_turn
