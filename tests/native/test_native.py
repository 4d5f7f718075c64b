# SPDX-License-Identifier: GPL-3.0-or-later
"""The native classes under the sanitizers: rings, playout, clock and ports against a stream that is not PJMEDIA's."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NATIVE = ROOT / "media" / "native"
_CLASSES = (
    *("call_keys", "call_lines", "clock", "concealer", "dialler", "dtmf_detector", "hub", "loss_policy", "mix_line"),
    *("network_delay", "pcm_port", "playout", "redundancy", "resting_ports", "rtp_latch", "socket_address"),
    *("telephone_event", "uplink"),
)
SOURCES = [NATIVE / f"{name}.cpp" for name in _CLASSES]
SANITIZERS = {"memory": "address,undefined", "threads": "thread"}
FLAGS = [
    "-std=c++17", "-O1", "-g1", "-fno-omit-frame-pointer", "-Wall", "-Wextra", "-Wno-unused-parameter",
    "-DPJ_AUTOCONF=1", "-DPJ_IS_BIG_ENDIAN=0", "-DPJ_IS_LITTLE_ENDIAN=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def includes() -> list[str]:
    script = [sys.executable, str(ROOT / "scripts" / "build_pjsua2"), "--headers"]
    folders = subprocess.run(script, check=True, capture_output=True, text=True).stdout.split()
    return [f"-I{NATIVE}", *(f"-I{folder}" for folder in folders)]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("sanitizer", SANITIZERS)
def test_rings_playout_clock_and_ports(sanitizer: str, includes: list[str], tmp_path: Path) -> None:
    sanitize = f"-fsanitize={SANITIZERS[sanitizer]}"

    def compile_one(source: Path) -> str:
        out = tmp_path / f"{source.stem}.o"
        command = ["g++", *FLAGS, sanitize, *includes, "-c", str(source), "-o", str(out)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert not done.stderr  # no warnings
        return str(out)

    tests = sorted(Path(__file__).parent.glob("*.cpp"))
    with ThreadPoolExecutor() as pool:
        objects = list(pool.map(compile_one, [*SOURCES, *tests]))
    program = tmp_path / "native_tests"
    linked = subprocess.run(
        ["g++", sanitize, *objects, "-o", str(program), "-lpthread", "-lspeexdsp"], capture_output=True, text=True
    )
    assert linked.returncode == 0, linked.stderr[-4000:]

    # ThreadSanitizer's memory map needs an address space without randomisation on newer kernels.
    done = subprocess.run(
        ["setarch", "--addr-no-randomize", str(program)],
        capture_output=True,
        text=True,
        env={"TSAN_OPTIONS": "halt_on_error=1", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"},
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert " 0 failed checks" in done.stdout
