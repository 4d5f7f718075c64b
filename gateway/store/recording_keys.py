# SPDX-License-Identifier: GPL-3.0-or-later
"""Recordings under which keys, and all of them under the one in force: the other half of a change of the key."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from gateway.store.key_census import CLEAR
from gateway.store.key_change import Opening
from gateway.store.sealing import MARKED_BYTES
from gateway.store.tables import SessionRow
from media.encryption import EncryptionKey
from media.errors import MediaError
from media.resealing import header_of, is_draft, reseal
from media.sealed import SEALED_SUFFIX

_SOUND_SUFFIXES = (".wav", ".ogg")


@dataclass(slots=True)
class RecordingChange:
    """What came of it."""

    files: int = 0
    in_use: int = 0
    """Of calls that go on: they are sealed with the key their gateway has."""
    strays: int = 0
    """Files of no session; left as they are."""
    unreadable: int = 0
    """Under a key that is none of ours, or damaged; left as they are."""


def count_recordings(folder: Path) -> Counter[str]:
    """By the beginning of their key's id, as `KeyCensus` has it. Blocks."""
    found: Counter[str] = Counter()
    for path in _files(folder):
        if path.name.endswith(_SOUND_SUFFIXES):
            found[CLEAR] += 1
        elif path.name.endswith(SEALED_SUFFIX):
            try:
                found[header_of(path).key_id[:MARKED_BYTES].hex()] += 1
            except (OSError, ValueError):
                found["damaged"] += 1
    return found


class RecordingKeyChange:
    """Of one folder."""

    def __init__(self, folder: Path, key: EncryptionKey, reading: Opening) -> None:
        """`reading`: the database that has the sessions."""
        self._folder = folder
        self._key = key
        self._reading = reading
        self.change = RecordingChange()

    async def run(self, told: Callable[[str, int, int], None]) -> RecordingChange:
        """All of them. Raises `OSError` when the disk does not work, and `StoreError`."""
        files = await asyncio.to_thread(self._wanted)
        for done, path in enumerate(files, 1):
            await self._file(path)
            told("recordings", done, len(files))
        return self.change

    def _wanted(self) -> list[Path]:
        found = []
        for path in _files(self._folder):
            if is_draft(path):
                path.unlink(missing_ok=True)
            elif path.name.endswith(SEALED_SUFFIX):
                try:
                    if header_of(path).key_id != self._key.key_id:
                        found.append(path)
                except FileNotFoundError:
                    continue
                except ValueError:
                    self.change.unreadable += 1
        return found

    async def _is_over(self, call_id: str) -> bool | None:
        """Whether the call's recording has ended; None: there is no such session, or it has none any more."""
        facts = select(SessionRow.ended_at, SessionRow.recording_facts).where(
            SessionRow.call_id == call_id, SessionRow.recording.is_not(None)
        )
        async with self._reading() as connection:
            row = (await connection.execute(facts)).first()
        return None if row is None else any(one is not None for one in row)

    async def _file(self, path: Path) -> None:
        try:
            call_id = (await asyncio.to_thread(header_of, path)).name
            is_over = await self._is_over(call_id)
            if is_over is None:
                self.change.strays += 1
            elif not is_over:
                self.change.in_use += 1
            elif await asyncio.to_thread(reseal, path, self._key):
                # Erasing takes the file first and then the session: what is erased while we copy must not come back.
                if await self._is_over(call_id) is None:
                    await asyncio.to_thread(path.unlink, missing_ok=True)
                else:
                    self.change.files += 1
        except FileNotFoundError:
            return
        except (MediaError, ValueError):
            self.change.unreadable += 1


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file()) if folder.is_dir() else iter(())
