# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley` commands as children of a process that has imported it already: most of what a start costs is that.

    test > socket > nursery, which imports once > fork > gateway.cli.main(arguments)

One nursery for each process of tests, begun with the first child. What a child is given is what `subprocess` would give
it: arguments, environment, standard output and error. It has nothing of the test's; when that is gone, so are all.
"""

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from functools import cache
from typing import IO, NoReturn

_MESSAGE_BYTES = 1 << 18
_TURN = threading.Lock()


class Child:
    """A command under way, with what is used of `subprocess.Popen`."""

    def __init__(
        self, arguments: Sequence[str], stderr: IO[bytes], environment: Mapping[str, str] | None = None
    ) -> None:
        """`environment`: None: the test's own."""
        read, write = os.pipe()
        self._ended, ended = os.pipe()
        given = dict(os.environ if environment is None else environment)
        asked = json.dumps({"arguments": list(arguments), "environment": given, "folder": os.getcwd()})
        with _TURN:  # some tests call from several threads
            door = _door()
            socket.send_fds(door, [asked.encode()], [write, stderr.fileno(), ended])
            self.pid = int(door.recv(32))
        for number in (write, ended):
            os.close(number)
        self.stdout: IO[str] = os.fdopen(read)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("parley", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout_s: float | None) -> int | None:
        if self.returncode is None and select.select([self._ended], [], [], timeout_s)[0]:
            self.returncode = int(os.read(self._ended, 32) or -signal.SIGKILL)  # nothing: the nursery is gone
            os.close(self._ended)
        return self.returncode


def run(
    arguments: Sequence[str], timeout_s: float, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command from its start to its end, and what it wrote; it is killed when it takes longer."""
    with tempfile.TemporaryFile() as errors:
        child = Child(arguments, errors, environment)
        overdue = threading.Timer(timeout_s, child.kill)
        overdue.start()
        with child.stdout as words:
            written = words.read()
        code = child.wait()
        overdue.cancel()
        errors.seek(0)
        return subprocess.CompletedProcess(arguments, code, written, errors.read().decode())


@cache
def _door() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    subprocess.Popen([sys.executable, "-m", __name__, str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    return ours


def serve(door: socket.socket) -> int:
    """Make children until the test is gone."""
    # What children need, here alone: tests import this file, too.
    from gateway import app, cli  # noqa: F401
    from gateway.softphone import main  # noqa: F401

    children: dict[int, tuple[int, int]] = {}  # pidfd: pid, where to tell its end
    while True:
        waiting: list[int | socket.socket] = [door, *children]
        for ready in select.select(waiting, [], [])[0]:
            if isinstance(ready, int):
                pid, ended = children.pop(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                os.write(ended, str(code).encode())
                os.close(ready)
                os.close(ended)
                continue
            message, numbers, _, _ = socket.recv_fds(door, _MESSAGE_BYTES, 3)
            if not message:
                for pid, _ in children.values():
                    os.kill(pid, signal.SIGKILL)
                return 0
            pid = os.fork()
            if pid == 0:
                for number in (door.detach(), *children, *(ended for _, ended in children.values())):
                    os.close(number)
                _live(json.loads(message), *numbers)
            os.close(numbers[0])
            os.close(numbers[1])
            children[os.pidfd_open(pid)] = pid, numbers[2]
            door.send(str(pid).encode())


def _live(asked: dict[str, object], stdout: int, stderr: int, ended: int) -> NoReturn:
    from gateway.cli import main as parley

    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    for number in (stdout, stderr, ended):
        os.close(number)
    environment, arguments = asked["environment"], asked["arguments"]
    assert isinstance(environment, dict)
    assert isinstance(arguments, list)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(asked["folder"]))
    sys.argv = ["parley", *arguments]
    code = 1
    try:
        code = parley(arguments)
    except BaseException:  # as Python ends with an exception, which this one cannot be left to
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        # Not as others end: onnxruntime would wait for a thread of its own that fork has left behind.
        os._exit(code)


if __name__ == "__main__":
    sys.exit(serve(socket.socket(fileno=int(sys.argv[1]))))
