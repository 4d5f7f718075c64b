# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley edge config`: writes what Kamailio and the rtpengines are started with, and has Kamailio check its own."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from gateway.config import Config
from gateway.edge.kamailio import kamailio_config
from gateway.edge.rtpengine import rtpengine_command, rtpengine_config
from gateway.errors import StartupError

_CHECK_S = 30
NO_NODES = "# Written by `parley edge follow`.\n"


def edge_files(config: Config) -> Mapping[str, str]:
    """What is written, by file name."""
    edge = config.edge
    written = {"kamailio.cfg": kamailio_config(config)}
    for relay in edge.relay:
        written[f"rtpengine-{relay.name}.conf"] = rtpengine_config(relay)
    return written


def start_commands(config: Config, folder: Path) -> tuple[str, ...]:
    """What starts it all, in order; each in the foreground."""
    relays = (rtpengine_command(str(folder / f"rtpengine-{relay.name}.conf")) for relay in config.edge.relay)
    return (
        *relays,
        f"kamailio -f {folder / 'kamailio.cfg'} -DD -E -m 256 -Y {config.edge.run_dir}",
        "parley edge follow",
    )


def write_edge(config: Config, folder: Path) -> tuple[Path, ...]:
    """Write the files, and an empty list of nodes where there is none yet. Raises `StartupError`."""
    made = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        config.edge.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, text in edge_files(config).items():
            file = folder / name
            file.touch(mode=0o640)  # a relay's Redis may have a password
            file.write_text(text)
            made.append(file)
        if not config.edge.node_list.exists():
            config.edge.node_list.write_text(NO_NODES)
    except OSError as fault:
        raise StartupError(f"{fault.filename or folder} cannot be written: {fault.strerror}") from fault
    return tuple(made)


def check_kamailio(file: Path) -> str | None:
    """What Kamailio finds wrong with its configuration; None: nothing. Raises `StartupError` when there is none."""
    program = shutil.which("kamailio") or shutil.which("kamailio", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise StartupError("there is no kamailio on this machine (apt install kamailio), or say --no-check")
    with tempfile.TemporaryDirectory(prefix="parley-edge-") as folder:
        checked = subprocess.run(
            [program, "-c", "-f", str(file), "-E", "-Y", folder], capture_output=True, text=True, timeout=_CHECK_S
        )
    if checked.returncode == 0:
        return None
    said = [line for line in checked.stderr.splitlines() if "ERROR" in line or "CRITICAL" in line]
    return "\n".join(said[:10]) or checked.stderr[-1000:]
