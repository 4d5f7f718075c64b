# SPDX-License-Identifier: GPL-3.0-or-later
"""A Redis of one's own, on a free port of loopback, that keeps nothing on disk."""

import socket
import subprocess
import time
from pathlib import Path
from typing import Self


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port on 127.0.0.1 that nobody has now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class RedisServer:
    """Started by `with`; `kill` and `start` in between, on the same port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._log = folder / "redis.log"
        self._folder = folder
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
        """With nothing in it."""
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["redis-server", *options, "--dir", str(self._folder)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + 10
        while self.ask("PING") != "+PONG":
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)

    def kill(self) -> None:
        """At once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(5)
            self._process = None

    def ask(self, *words: str) -> str:
        """The first line of its answer; empty when it is not there."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as line:
                line.sendall(b"*%d\r\n" % len(words))
                for word in words:
                    line.sendall(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()))
                return line.recv(65536).decode().partition("\r\n")[0]
        except OSError:
            return ""
