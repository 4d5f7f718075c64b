# SPDX-License-Identifier: GPL-3.0-or-later
"""A PostgreSQL server of Debian's package, for tests: a cluster of its own in a folder of its own, on loopback."""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg

USER, PASSWORD = "parley", "swordfish"
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "max_connections": "100",
    "unix_socket_directories": "",
    "listen_addresses": "127.0.0.1",
}


def programs() -> Path:
    """Where the newest server of the machine has its programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda one: int(one.parts[-3]))
    assert found, "Debian's package postgresql is missing: scripts/test installs it"
    return found[-1].parent


def in_thread(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """What this comes to, in an event loop of its own: also for whoever runs in one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(work())).result()


class PostgreSqlServer:
    """Started by `start`; stopping leaves the data, so that it can be started again on the same port."""

    def __init__(self, **settings: str) -> None:
        self._settings = {**_SETTINGS, **settings}
        self.folder = Path(tempfile.mkdtemp(prefix="parley-postgresql-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self._who = pwd.getpwnam("postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name)

    def __enter__(self) -> Self:
        os.chown(self.folder, self._who.pw_uid, self._who.pw_gid)
        password = self.folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self.run(
            "initdb",
            "-D",
            self._data,
            "-U",
            USER,
            "--auth=scram-sha-256",
            f"--pwfile={password}",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
        )
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _data(self) -> str:
        return str(self.folder / "data")

    def run(self, program: str, *arguments: str, **options: Any) -> "subprocess.CompletedProcess[bytes]":
        """One of PostgreSQL's programs, as the user who owns the cluster."""
        return subprocess.run(
            [str(programs() / program), *arguments],
            check=True,
            capture_output=True,
            cwd=self.folder,
            user=self._who.pw_uid,
            group=self._who.pw_gid,
            env={"PGPASSWORD": PASSWORD, "PATH": os.environ["PATH"]},
            timeout=60,
            **options,
        )

    def start(self) -> None:
        """Returns when it takes connections."""
        options = [word for name, value in self._settings.items() for word in ("-c", f"{name}={value}")]
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            [str(programs() / "postgres"), "-D", self._data, "-p", str(self.port), *options],
            stdout=log,
            stderr=log,
            user=self._who.pw_uid,
            group=self._who.pw_gid,
            cwd=self.folder,
            start_new_session=True,
        )
        log.close()
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        for _ in range(200):
            ready = subprocess.run(
                [str(programs() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "1"], check=False
            )
            if ready.returncode == 0:
                return
            threading.Event().wait(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT: at once, as `pg_ctl stop -m immediate`; what was committed is in its log."""
        if self._process is not None:
            self.resume()
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def freeze(self) -> None:
        """It keeps its connections, and answers nothing."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, which: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, which)
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for child in children:
            try:
                os.kill(int(child), which)
            except ProcessLookupError:
                continue

    # Databases

    def url(self, database: str, *, user: str = USER, password: str = PASSWORD) -> str:
        return f"postgresql+asyncpg://{user}:{password}@127.0.0.1:{self.port}/{database}"

    def execute(self, database: str, *statements: str) -> list[tuple[Any, ...]]:
        """What the last of them found."""

        async def work() -> list[tuple[Any, ...]]:
            connection = await asyncpg.connect(
                host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, database=database, timeout=10
            )
            try:
                found: Sequence[Any] = []
                for statement in statements:
                    found = await connection.fetch(statement)
                return [tuple(row) for row in found]
            finally:
                await connection.close()

        return in_thread(work)  # type: ignore[no-any-return]

    def create(self, database: str, *, like: str = "template0") -> str:
        """A database; its URL."""
        self.execute("postgres", f'CREATE DATABASE "{database}" TEMPLATE "{like}"')
        return self.url(database)

    def dump(self, database: str) -> bytes:
        """All that it has, readable."""
        where = ("-h", "127.0.0.1", "-p", str(self.port), "-U", USER)
        return self.run("pg_dump", *where, "--inserts", database).stdout
