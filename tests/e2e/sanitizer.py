# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway on the sanitizer build of pjsua2: a stray byte or a failed assertion ends the process."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.gateway_process import GatewayProcess

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def sanitized_gateway(folder: Path, settings: str, media: str = "") -> Iterator[GatewayProcess]:
    """Built on first use (two minutes on four cores), then cached like the release build."""
    build = [sys.executable, str(ROOT / "scripts" / "build_pjsua2"), "--sanitize"]
    wheel = Path(subprocess.run(build, check=True, capture_output=True, text=True).stdout.strip())
    # The C++ library, too: the sanitizer looks for what throws exceptions when it is loaded, and ends at the first one
    # if it was not there.
    preload = " ".join(_library(name) for name in ("libasan.so", "libstdc++.so"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("LD_PRELOAD", preload)
        # Python's own leaks are not ours to find; an assertion that fails shows where.
        environment.setenv("ASAN_OPTIONS", "detect_leaks=0:handle_abort=1")
        environment.setenv("PYTHONPATH", str(wheel.parent / "tree"), prepend=":")
        gateway = GatewayProcess(folder, settings, record=False, media=media)
        gateway.__enter__()
    try:
        maps = Path(f"/proc/{gateway.process.pid}/maps").read_text()
        assert str(wheel.parent / "tree" / "_pjsua2") in maps, "the gateway runs without the sanitizer build"
        yield gateway
    finally:
        gateway.__exit__(None, None, None)
    assert gateway.process.returncode == 0, gateway.log.read_text()[-4000:]


def _library(name: str) -> str:
    find = ["gcc", f"-print-file-name={name}"]
    return subprocess.run(find, check=True, capture_output=True, text=True).stdout.strip()
