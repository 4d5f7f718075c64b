# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley campaign` as an operator has it: a process on a terminal, with Ctrl-C."""

import asyncio
import contextlib
import os
import pty
import re
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from tests.simulators.campaign_gateway import KEY, CampaignGateway

ROOT = Path(__file__).parents[3]
CTRL_C = b"\x03"
PATIENCE_S = 60


class Terminal:
    """A process of `parley` with a terminal of its own."""

    def __init__(self) -> None:
        self.shown = ""
        """Without the escape sequences."""
        self._changed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def running(self, folder: Path, *arguments: str) -> AsyncIterator["Terminal"]:
        ours, theirs = pty.openpty()
        script = "import os, sys; os.setsid(); import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
        script += f"sys.path.insert(0, {str(ROOT)!r}); from gateway.cli import main; sys.exit(main(sys.argv[1:]))"
        environment = {"PATH": "/usr/bin:/bin", "TERM": "xterm", "COLUMNS": "160", "PARLEY_API_KEY": KEY}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", script, *arguments),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env={**environment, "HOME": str(folder)},
        )
        os.close(theirs)
        self._terminal = ours
        asyncio.get_running_loop().add_reader(ours, self._read)
        try:
            yield self
        finally:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            asyncio.get_running_loop().remove_reader(ours)
            os.close(ours)

    def _read(self) -> None:
        try:
            block = os.read(self._terminal, 65536)
        except OSError:  # the process has gone, and its side with it
            asyncio.get_running_loop().remove_reader(self._terminal)
            return
        self.shown += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", block.decode(errors="replace"))
        self._changed.set()

    def press(self, keys: bytes) -> None:
        os.write(self._terminal, keys)

    async def until(self, is_so: Callable[[str], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not is_so(self.shown):
                self._changed.clear()
                await self._changed.wait()

    async def code(self) -> int:
        async with asyncio.timeout(PATIENCE_S):
            return await self._process.wait()


@contextlib.asynccontextmanager
async def campaign(folder: Path, simulator: CampaignGateway) -> AsyncIterator[Terminal]:
    (folder / "list.csv").write_text("number\n+12025550101\n+12025550102\n+12025550103\n")
    (folder / "policy.toml").write_text('zone = "America/New_York"\n')
    arguments = ("campaign", "run", "list.csv", "--campaign", "policy.toml", "--name", "[red]x", "--out", "r.csv")
    async with simulator.running() as address, Terminal().running(folder, *arguments, "--url", address) as terminal:
        yield terminal


async def test_a_terminal_shows_the_report_and_a_bar_until_all_are_done(tmp_path: Path) -> None:
    simulator = CampaignGateway(("talked",))
    async with campaign(tmp_path, simulator) as terminal:
        assert await terminal.code() == 0
        await terminal.until(lambda shown: "[red]x (done)" in shown and "1/1 done" in shown)
    assert "1 rows: 1 to call" in terminal.shown
    assert "100%" in terminal.shown


async def test_ctrl_c_pauses_the_campaign_and_says_how_to_go_on(tmp_path: Path) -> None:
    simulator = CampaignGateway()
    simulator.is_stuck = True
    async with campaign(tmp_path, simulator) as terminal:
        await terminal.until(lambda shown: "[red]x (running)" in shown)
        terminal.press(CTRL_C)
        assert await terminal.code() == 1
        await terminal.until(lambda shown: "campaign cancel c1" in shown)
    assert (simulator.state, simulator.requests[-1]) == ("paused", "POST /campaigns/c1/pause")
    shown = " ".join(terminal.shown.split())
    assert "calls that stand go on, nobody else is called" in shown
    assert "parley campaign resume c1 --follow --out r.csv" in shown
    assert "Traceback" not in shown


async def test_ctrl_c_while_the_list_is_read_calls_nobody(tmp_path: Path) -> None:
    simulator = CampaignGateway()
    simulator.reads_for_ever = True
    async with campaign(tmp_path, simulator) as terminal:
        async with asyncio.timeout(PATIENCE_S):
            await simulator.reading.wait()
        terminal.press(CTRL_C)
        assert await terminal.code() == 1
        await terminal.until(lambda shown: "nobody was called" in shown)
    assert simulator.requests[-1] == "DELETE /campaigns/c1"
    assert not (tmp_path / "r.csv").exists()
