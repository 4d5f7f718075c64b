# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/trunks.md against the code: its examples load, and it names every profile."""

import re
from pathlib import Path

import pytest

from gateway.trunks.config import TrunkConfig
from gateway.trunks.profiles import profile_names
from tests.gateway.test_config import loaded

PAGE = (Path(__file__).parents[3] / "docs" / "trunks.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"(?:^    .*\n|^\n(?=    ))+", PAGE, re.MULTILINE)


@pytest.mark.parametrize("example", [one for one in EXAMPLES if "[[trunk]]" in one])
def test_an_example_is_a_configuration(tmp_path: Path, example: str) -> None:
    (trunk,) = loaded(tmp_path, example).trunk
    assert trunk.profile in profile_names()


def test_every_profile_is_on_the_page() -> None:
    assert all(f"`{name}`" in PAGE for name in profile_names())


def test_keys_of_the_tables_are_keys_of_a_trunk() -> None:
    named = {
        key for cell in re.findall(r"^\| (`[a-z_`, ]+`) \|", PAGE, re.MULTILINE) for key in re.findall(r"\w+", cell)
    }
    assert len(named) > 20
    assert named - set(profile_names()) <= set(TrunkConfig.model_fields)
