# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps the gateway from starting is said in one clear line, with exit code 2, and nothing is left behind."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from agent.local.models import default_model_folder
from tests.e2e import nursery
from tests.e2e.gateway_process import PARLEY


def _serve(folder: Path, toml: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    (folder / "parley.toml").write_text(toml)
    base = {
        "PARLEY_SIP__BIND": "127.0.0.1",
        "PARLEY_SIP__PORT": "0",
        "PARLEY_HTTP__PORT": "0",
        "PARLEY_STORE__DATA_DIR": str(folder / "data"),
    }
    arguments = ["serve", "--config", str(folder / "parley.toml")]
    return nursery.run(arguments, 60, {**os.environ, **base, **environment})


def _complaint(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on standard error that is no log line."""
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "parley ready" not in done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("parley:")]
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_sip_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        assert port in _complaint(_serve(tmp_path, PARLEY_SIP__PORT=port))


def test_an_http_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert port in _complaint(_serve(tmp_path, PARLEY_HTTP__PORT=port))


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    # A file in its place: root, who runs the tests in CI, may write to read-only folders.
    (tmp_path / "file").touch()
    folder = str(tmp_path / "file" / "data")
    assert folder in _complaint(_serve(tmp_path, PARLEY_STORE__DATA_DIR=folder))


def test_every_fault_of_a_configuration_is_named_at_once(tmp_path: Path) -> None:
    done = _serve(tmp_path, '[sip]\ntransports = ["sctp"]\n[media]\ncodecs = ["mp3"]\n[[route]]\naction = "dance"\n')
    assert done.returncode == 2
    for key in ("sip.transports", "media.codecs", "route"):
        assert key in done.stderr
    assert "Traceback" not in done.stderr


def test_models_that_are_missing_are_named_with_the_cure(tmp_path: Path) -> None:
    complaint = _complaint(_serve(tmp_path, PARLEY_MODELS__FOLDER=str(tmp_path / "nothing")))
    assert "nothing" in complaint
    assert "agent.local.models" in complaint


def test_a_damaged_model_is_refused(tmp_path: Path) -> None:
    good = default_model_folder(os.environ)
    for source in good.rglob("*"):
        target = tmp_path / "models" / source.relative_to(good)
        if source.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(source)
    victim = next(path for path in (tmp_path / "models").rglob("*.onnx"))
    victim.unlink()
    victim.write_bytes(b"not a model")
    assert victim.name in _complaint(_serve(tmp_path, PARLEY_MODELS__FOLDER=str(tmp_path / "models")))


@pytest.mark.parametrize("arguments", [["serve", "--config", "/nowhere/parley.toml"], ["softphone"], ["dance"]])
def test_bad_usage_ends_with_exit_code_2(arguments: list[str]) -> None:
    done = subprocess.run([*PARLEY, *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
