# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/interop.md names tests that there are."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"`(test_\w+\.py)(?:(::|#)(\w+))?`", (ROOT / "docs" / "interop.md").read_text())


def test_every_line_has_a_test() -> None:
    lines = [line for line in (ROOT / "docs" / "interop.md").read_text().splitlines() if line.startswith("| ")]
    assert [line for line in lines[1:] if "test_" not in line and "**" not in line] == []
    assert len(NAMED) > 60


@pytest.mark.parametrize(("file", "kind", "name"), sorted(set(NAMED)))
def test_what_the_table_names_is_there(file: str, kind: str, name: str) -> None:
    source = (ROOT / "tests" / "e2e" / file).read_text()
    assert not name or re.search(rf"^(?:async )?def {name}\(", source, re.MULTILINE), f"{file} has no {kind}{name}"
