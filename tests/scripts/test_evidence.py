# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/interop.md and docs/hardening.md name tests and commands that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXTS = {name: (ROOT / "docs" / name).read_text() for name in ("interop.md", "hardening.md")}
TESTS = {found for text in TEXTS.values() for found in re.findall(r"`([\w/]*test_\w+\.py)(?:(::|#)(\w+))?`", text)}
COMMANDS = {found for text in TEXTS.values() for found in re.findall(r"`(scripts/[\w/]+)", text)}


@pytest.mark.parametrize("name", TEXTS)
def test_every_line_says_what_shows_it(name: str) -> None:
    lines = [line for line in TEXTS[name].splitlines() if line.startswith("| ")]
    assert len(lines) > 15
    assert [line for line in lines[1:] if not re.search(r"test_|scripts/|\*\*", line)] == []


@pytest.mark.parametrize(("file", "kind", "name"), sorted(TESTS))
def test_what_the_tables_name_is_there(file: str, kind: str, name: str) -> None:
    source = (ROOT / ("" if "/" in file else "tests/e2e") / file).read_text()
    assert not name or re.search(rf"^(?:async )?def {name}\(", source, re.MULTILINE), f"{file} has no {kind}{name}"


@pytest.mark.parametrize("command", sorted(COMMANDS - {"scripts/test"}))
def test_what_the_tables_say_to_run_is_there(command: str) -> None:
    assert (ROOT / command).is_file()
