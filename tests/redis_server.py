# SPDX-License-Identifier: GPL-3.0-or-later
"""A real redis-server of a test's own, on a free port of loopback, that keeps nothing."""

import socket
import subprocess
import time
from pathlib import Path
from typing import Self


class RedisServer:
    """Started by `with`, and as often as is asked by `start` after a `kill`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Begin, empty, and answer."""
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        self._process = subprocess.Popen(
            ["redis-server", *options, "--dir", str(self._folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("redis-server does not answer")

    def kill(self) -> None:
        """At once, with all that it knew."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
