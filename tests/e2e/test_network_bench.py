# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/bench/network in its shortest form, so that it does not rot: no figure of it is judged here."""

import subprocess
from pathlib import Path

import pytest

_BENCH = Path(__file__).parents[2] / "scripts/bench/network"


@pytest.mark.timeout(180)
def test_the_network_bench_prints_its_tables(tmp_path: Path) -> None:
    out = tmp_path / "network.md"
    done = subprocess.run([_BENCH, "--quick", "--out", out], capture_output=True, text=True, timeout=170, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    report = out.read_text()
    assert "| pcmu | off | balanced |" in report
    assert "nan" not in report
