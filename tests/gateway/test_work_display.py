# SPDX-License-Identifier: GPL-3.0-or-later
"""Work as it is shown: a line that changes below the log of a terminal, log lines for what is long elsewhere."""

import io
import time
from collections.abc import Mapping, Sequence

from structlog.testing import capture_logs

from gateway.telemetry.logs import LogWriter
from gateway.work import WorkBoard
from gateway.work_display import WorkDisplay

ERASE = "\r\x1b[K"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines(takes_s: float, *, fails: bool = False) -> Sequence[Mapping[str, object]]:
    """What is logged of a work that takes so long and tells so every half second."""
    now = 0.0
    board = WorkBoard(lambda: now)
    writer = LogWriter(io.StringIO())
    board.follow(WorkDisplay(board, writer, lambda: now).receive)
    with capture_logs() as logged:
        work = board.begin("knowledge", "clerk", "passages", 1000)
        while now < takes_s:
            now += 0.5
            work.update(round(2 * now))
        if fails:
            work.fail("prices.pdf: cannot be read")
        else:
            work.end()
    writer.close()
    return logged


def test_what_is_over_in_a_moment_is_not_worth_a_line() -> None:
    assert lines(1.0) == []


def test_what_is_long_has_a_line_every_ten_seconds_and_one_at_its_end() -> None:
    logged = lines(25.0)
    assert [line["event"] for line in logged] == ["work", "work", "work", "work_done"]
    assert [line.get("done") for line in logged] == [4, 24, 44, None]
    assert logged[-1]["seconds"] == 25.0


def test_a_failure_is_told_however_soon_it_comes() -> None:
    (line,) = lines(0.5, fails=True)
    assert (line["event"], line["cause"], line["log_level"]) == ("work_failed", "prices.pdf: cannot be read", "warning")


def shown(board: WorkBoard) -> tuple[Terminal, LogWriter]:
    terminal = Terminal()
    writer = LogWriter(terminal)
    board.follow(WorkDisplay(board, writer).receive)
    return terminal, writer


def test_phrases_that_are_rendered_behind_everything_else_are_not_shown() -> None:
    board = WorkBoard()
    terminal, writer = shown(board)
    board.begin("phrases", "clerk", "sentences", 3)
    board.begin("knowledge", "clerk", "passages", 480)
    board.begin("phrases", "other", "sentences", 3)
    wait_for(terminal, "indexing the knowledge of clerk")
    writer.close()
    assert "sentences" not in terminal.getvalue()


def wait_for(terminal: Terminal, text: str) -> None:
    """The writer has a thread of its own."""
    deadline = time.monotonic() + 5
    while text not in terminal.getvalue():
        assert time.monotonic() < deadline, f"{text!r} not in {terminal.getvalue()!r}"
        time.sleep(0.005)


def test_on_a_terminal_the_newest_work_stands_below_the_lines_and_goes_when_it_is_over() -> None:
    board = WorkBoard()
    terminal, writer = shown(board)
    bar = f"indexing the knowledge of clerk [{'-' * 24}] 0 of 480 passages"
    work = board.begin("knowledge", "clerk", "passages", 480)
    wait_for(terminal, bar)
    writer.write_line("a line")
    wait_for(terminal, f"{bar}{ERASE}a line\n{bar}")
    work.end()
    wait_for(terminal, f"a line\n{bar}{ERASE}")
    writer.write_line("another")
    writer.close()
    assert terminal.getvalue() == f"{bar}{ERASE}a line\n{bar}{ERASE}another\n"


def test_what_is_shown_at_the_end_is_taken_away() -> None:
    board = WorkBoard()
    terminal, writer = shown(board)
    board.begin("engines", "offline", "models")
    wait_for(terminal, "loading the models: offline ...")
    writer.close()
    assert terminal.getvalue().endswith(ERASE)


def test_a_terminal_obeys_no_name() -> None:
    board = WorkBoard()
    terminal, writer = shown(board)
    board.begin("campaign_list", "\x1b[2Jred\n", "bytes")
    wait_for(terminal, "reading a list into ?[2Jred? ...")
    writer.close()
    assert "\x1b[2J" not in terminal.getvalue()
