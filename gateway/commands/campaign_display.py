# SPDX-License-Identifier: GPL-3.0-or-later
"""What `parley campaign` shows: a bar on a terminal, a line now and then elsewhere, JSON for programs."""

import json
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from agent.progress_line import progress_line
from gateway.commands.complaint import complain

if TYPE_CHECKING:
    from gateway.client import CampaignInfo, ListReport

_SHOWN_PROBLEMS = 50
"""Lines of a list, on a terminal; `--json` has all that the gateway tells."""
_LINE_EVERY_S = 10.0
_WIDEST_CELL = 60


class Display(Protocol):
    """Who shows it. Used with `with`."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def uploaded(self, sent: int, total: int) -> None:
        """So many bytes of the list have gone out."""
        ...

    def report(self, report: "ListReport") -> None:
        """What became of the list."""
        ...

    def campaign(self, campaign: "CampaignInfo") -> None:
        """How the campaign stands."""
        ...

    def notice(self, text: str) -> None:
        """Something to know."""
        ...


def display(*, as_json: bool) -> Display:
    """The one that suits standard output."""
    if as_json:
        return JsonDisplay()
    return TerminalDisplay() if sys.stdout.isatty() else PlainDisplay()


def printable(text: str) -> str:
    """Without what a terminal would obey: text of a list, or of another gateway's, is shown and not trusted."""
    return "".join(one if one.isprintable() else "?" for one in text)


def report_lines(report: "ListReport") -> list[str]:
    """The report by line, then its sums."""
    lines = []
    for one in report.problems[:_SHOWN_PROBLEMS]:
        column = f", {printable(one.column)[:_WIDEST_CELL]}" if one.column else ""
        lines.append(f"  line {one.line}{column}: {printable(one.problem)}")
    if more := len(report.problems) - len(lines) + report.more_problems:
        lines.append(f"  ... and {more} more (--json shows {len(report.problems)})")
    causes = {
        "invalid": report.invalid,
        "there already": report.duplicates,
        "not to be called": report.do_not_call,
        "without consent": report.no_consent,
    }
    told = ", ".join(f"{count} {cause}" for cause, count in causes.items() if count)
    lines.append(f"{report.rows} rows: {report.accepted} to call" + (f"; left out: {told}" if told else ""))
    return lines


def standing(campaign: "CampaignInfo", now: datetime) -> str:
    """One line: what happens, what came of it, how much longer."""
    progress = campaign.progress
    parts = [f"{progress.done}/{progress.contacts} done", f"{progress.dialing} dialing, {progress.talking} talking"]
    if progress.outcomes:
        parts.append(outcomes_text(progress.outcomes))
    if progress.answer_rate is not None:
        parts.append(f"answered {progress.answer_rate:.0%}")
    if progress.contact_rate is not None:
        parts.append(f"people {progress.contact_rate:.0%}")
    if progress.cost:
        parts.append(f"cost {progress.cost:.2f}")
    if campaign.state in ("running", "draining"):
        if progress.eta_s is not None and progress.done < progress.contacts:
            parts.append(f"about {duration_text(progress.eta_s)} left")
        if progress.next_at is not None and progress.next_at > now and not progress.dialing and not progress.talking:
            parts.append(f"next call {progress.next_at.astimezone():%a %H:%M}")
    return "; ".join(parts)


def outcomes_text(outcomes: Mapping[str, int]) -> str:
    """The most frequent first."""
    ordered = sorted(outcomes.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"{count} {_words(outcome)}" for outcome, count in ordered if count)


def duration_text(seconds: float) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def _words(name: str) -> str:
    return printable(name).replace("_", " ")


class PlainDisplay:
    """For files, pipes and supervisors: a line when the state changes, and every ten seconds."""

    def __init__(self) -> None:
        self._state = ""
        self._said = ""
        self._next_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def uploaded(self, sent: int, total: int) -> None:
        """A line every ten seconds; the report follows."""
        now = time.monotonic()
        if self._next_at and now >= self._next_at:
            print(progress_line("sending the list", sent, total, "bytes"), flush=True)
        if not self._next_at or now >= self._next_at:
            self._next_at = now + _LINE_EVERY_S

    def report(self, report: "ListReport") -> None:
        print("\n".join(report_lines(report)), flush=True)
        self._next_at = 0.0

    def campaign(self, campaign: "CampaignInfo") -> None:
        now = time.monotonic()
        said = f"{campaign.state}: {standing(campaign, datetime.now(UTC))}"
        if campaign.state != self._state or (said != self._said and now >= self._next_at):
            print(said, flush=True)
            self._state, self._said, self._next_at = campaign.state, said, now + _LINE_EVERY_S

    def notice(self, text: str) -> None:
        complain(text)


class JsonDisplay:
    """One object per line: `list`, `campaign` whenever it has changed, `notice`."""

    def __init__(self) -> None:
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def uploaded(self, sent: int, total: int) -> None:
        """Nothing: `list` follows."""

    def report(self, report: "ListReport") -> None:
        self._print({"kind": "list", "report": report.model_dump(mode="json")})

    def campaign(self, campaign: "CampaignInfo") -> None:
        told = {"kind": "campaign", "campaign": campaign.model_dump(mode="json")}
        text = json.dumps(told)
        if text != self._last:
            print(text, flush=True)
            self._last = text

    def notice(self, text: str) -> None:
        self._print({"kind": "notice", "text": text})

    def _print(self, told: dict[str, Any]) -> None:
        print(json.dumps(told), flush=True)


class TerminalDisplay:
    """A bar for the upload, then one for the contacts, with a line about both ends of the work below it."""

    def __init__(self) -> None:
        # rich takes a tenth of a second to import: only when there is a terminal to draw on.
        from rich.console import Console, Group
        from rich.live import Live
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
        from rich.text import Text

        self._bar = Progress(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
        self._below = Text()
        self._console = Console(highlight=False)
        self._live = Live(Group(self._bar, self._below), console=self._console, refresh_per_second=8)
        self._task = self._bar.add_task("reading the list", total=None)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def uploaded(self, sent: int, total: int) -> None:
        # The gateway may still read what has been sent: the bar is full when it says so.
        self._bar.update(self._task, total=total + 1, completed=sent)

    def report(self, report: "ListReport") -> None:
        self._console.print("\n".join(report_lines(report)), markup=False)

    def campaign(self, campaign: "CampaignInfo") -> None:
        progress = campaign.progress
        name = printable(campaign.name)[:_WIDEST_CELL].replace("[", r"\[")  # rich would read it as a style
        self._bar.update(
            self._task, description=f"{name} ({campaign.state})", total=progress.contacts, completed=progress.done
        )
        self._below.plain = standing(campaign, datetime.now(UTC))

    def notice(self, text: str) -> None:
        self._console.print(f"parley: {text}", markup=False, style="yellow")
