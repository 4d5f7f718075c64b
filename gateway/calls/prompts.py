# SPDX-License-Identifier: GPL-3.0-or-later
"""The recordings that the API may play: files of one folder, and what lies behind URLs."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import BadPrompt, UrlUnreachable
from media.errors import AudioFileError
from media.frames import PcmSamples

MAX_S = 600.0
MAX_FILE_BYTES = 64 << 20
MAX_URL_BYTES = 16 << 20
FETCH_S = 10.0
"""How long fetching one may take, in all."""
_CACHE_BYTES = 64 << 20
"""Samples of files: half an hour at 16 kHz."""
_FETCHES = 8
"""At the same time; one more waits for its turn."""
_MOST_WAITING = 64
"""Those that run included; one more is refused."""
_DECODERS = 2
"""At the same time: ten minutes of MP3 keep a core busy for a second."""

Fetch = Callable[[str], Awaitable[bytes]]
"""The bytes behind a URL, `MAX_URL_BYTES` at most. Raises `UrlError`."""


@dataclass(frozen=True, slots=True, eq=False)
class Prompt:
    """A recording that can be played: mono, not empty."""

    samples: PcmSamples
    sample_rate_hz: int

    @property
    def duration_ms(self) -> int:
        return round(len(self.samples) * 1000 / self.sample_rate_hz)


class Prompts:
    """One for the process. Decoded files are kept, the least recently used go first; one that changes is read again."""

    def __init__(self, folder: Path, fetch: Fetch) -> None:
        self._folder = folder
        self._fetch = fetch
        self._fetching = asyncio.Semaphore(_FETCHES)
        self._asked = 0
        """Fetches that run or wait."""
        self._decoding = asyncio.Semaphore(_DECODERS)
        self._kept: OrderedDict[tuple[str, int, int], Prompt] = OrderedDict()
        self._kept_bytes = 0
        if folder.is_dir():
            import media.audio_file  # noqa: F401 - it takes 0.2 s, now and not while calls stand

    async def from_file(self, name: str) -> Prompt:
        """A file of the folder, by its path there. Raises `BadPrompt`."""
        async with self._decoding:
            path, identity = await asyncio.to_thread(self._find, name)
            kept = self._kept.get(identity)
            if kept is None:
                kept = await asyncio.to_thread(_read, path)
                self._keep(identity, kept)
            else:
                self._kept.move_to_end(identity)
            return kept

    async def from_url(self, url: str) -> Prompt:
        """What lies behind a URL; fetched every time. Raises `BadPrompt`, `UrlError`."""
        if self._asked >= _MOST_WAITING:
            raise UrlUnreachable("url", f"{_MOST_WAITING} recordings are being fetched already: ask again later")
        self._asked += 1
        try:
            # Decoded inside, too: otherwise what was fetched would pile up before the decoders.
            async with self._fetching:
                content = await self._fetch(url)
                async with self._decoding:
                    return await asyncio.to_thread(_decode, content, "url")
        finally:
            self._asked -= 1

    def _find(self, name: str) -> tuple[Path, tuple[str, int, int]]:
        """Where it is, and what changes when it does."""
        try:
            folder = self._folder.resolve()
            path = (folder / name).resolve()  # symbolic links, too, must not lead out of the folder
            facts = path.stat()
            if path.is_relative_to(folder) and path.is_file():
                return path, (str(path), facts.st_mtime_ns, facts.st_size)
        except (OSError, ValueError, RuntimeError):  # no such name can be; RuntimeError: links in a circle
            pass
        # The same words whatever is there: nobody is told which files this machine has.
        raise BadPrompt("file: there is no such file in the folder for prompts (media.prompts_dir)")

    def _keep(self, identity: tuple[str, int, int], prompt: Prompt) -> None:
        if identity in self._kept:
            return
        self._kept[identity] = prompt
        self._kept_bytes += prompt.samples.nbytes
        while self._kept_bytes > _CACHE_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= oldest.samples.nbytes


def _read(path: Path) -> Prompt:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise BadPrompt(f"file: it has more than {MAX_FILE_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise BadPrompt(f"file: it cannot be read: {error.strerror}") from error
    return _decode(content, "file")


def _decode(content: bytes, field: str) -> Prompt:
    from media.audio_file import decode_audio  # FFmpeg takes 18 MiB: only where something is played

    try:
        samples, sample_rate_hz = decode_audio(content, max_s=MAX_S)
    except AudioFileError as error:
        raise BadPrompt(f"{field}: {error}") from error
    samples.setflags(write=False)  # many calls play the same array
    return Prompt(samples, sample_rate_hz)
