# SPDX-License-Identifier: GPL-3.0-or-later
"""Every input the fuzzers began with or stumbled over, through their targets again, under gcc's sanitizers."""

import re
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
NATIVE = FOLDER.parents[1] / "media" / "native"
TARGETS = {path.stem.removeprefix("fuzz_"): path for path in sorted(FOLDER.glob("fuzz_*.cpp"))}
FLAGS = ["-std=c++17", "-O1", "-g1", "-fno-omit-frame-pointer", "-Wall", "-Wextra", "-Werror"]


def test_there_are_targets() -> None:
    assert TARGETS


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", TARGETS)
def test_the_corpus_finds_nothing(name: str, tmp_path: Path) -> None:
    target, program = TARGETS[name], tmp_path / name
    # The second line names what the target needs of media/native, as scripts/fuzz reads it.
    sources = re.search(r"^// Sources: (.+)$", target.read_text(), re.MULTILINE)
    assert sources is not None
    compiled = subprocess.run(
        [
            *("g++", *FLAGS, "-fsanitize=address,undefined", "-fno-sanitize-recover=all"),
            *(f"-I{NATIVE}", str(target), str(FOLDER / "replay.cpp")),
            *(str(NATIVE / source) for source in sources[1].split()),
            *("-o", str(program)),
        ],
        capture_output=True,
        text=True,
    )
    assert compiled.returncode == 0, compiled.stderr
    done = subprocess.run([program, FOLDER / "corpus" / f"{name}.hex"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
