# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley campaign run`: a list and a policy become a campaign, which is followed until it is over.

The gateway calls, and goes on when this command is gone. This survives the gateway too: while nobody answers, it
waits.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from gateway.campaigns.policy import Policy
from gateway.client import CampaignInfo, NotReachable, ParleyClient, ParleyError
from gateway.client.campaigns import OVER, ListKind
from gateway.commands.campaign_display import Display
from gateway.commands.campaign_results import ResultsFile

_POLL_S = 0.5
_MOST_PAUSE_S = 5.0
"""While the gateway does not answer."""
_BLOCK_BYTES = 1 << 16
NOTHING_DIALLED = 2
Result = TypeVar("Result")


class Interrupted(Exception):
    """Ctrl-C."""


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What `run` is asked for."""

    list_file: Path
    kind: ListKind
    policy: Policy
    name: str
    check_only: bool = False
    """Report on the list, and call nobody."""


def read_policy(file: Path) -> Policy:
    """Raises `PolicyError`, `OSError`; `ValueError` when it is no text."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}: byte {error.start} is not UTF-8") from None
    return Policy.from_toml(text, str(file))


class Interrupts:
    """Ctrl-C: the first one is a wish, which has to reach the gateway; the second one ends us."""

    def __init__(self) -> None:
        self._pressed = asyncio.Event()

    def tell(self) -> None:
        """It was pressed."""
        if self._pressed.is_set():
            raise KeyboardInterrupt
        self._pressed.set()

    async def bound(self, work: Coroutine[None, None, Result]) -> Result:
        """Work that ends with it. Raises `Interrupted`."""
        working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(self._pressed.wait())
        try:
            await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise Interrupted
            return working.result()
        finally:
            waiting.cancel()
            working.cancel()
            await asyncio.gather(working, waiting, return_exceptions=True)


def listen_for_interrupts() -> Interrupts:
    """From now on, in this event loop."""
    interrupts = Interrupts()
    # Signals belong to the main thread; elsewhere whoever runs us has them.
    with contextlib.suppress(ValueError, RuntimeError):
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupts.tell)
    return interrupts


async def run_campaign(
    parley: ParleyClient, order: RunOrder, out: ResultsFile | None, shown: Display, interrupts: Interrupts
) -> int:
    """Exit code: 0 it is done (or the list was checked), 1 it is not, 2 list or policy are wrong and nobody was
    called. Raises `ParleyError`."""
    draft = await parley.campaigns.create(
        order.name, order.policy.model_dump(mode="json", by_alias=True, exclude_unset=True)
    )
    try:
        accepted = await interrupts.bound(_list_contacts(parley, draft.campaign_id, order, shown))
    except Interrupted:
        await _remove(parley, draft)
        shown.notice("interrupted before the start: nobody was called")
        return 1
    except BaseException:
        await _remove(parley, draft)
        raise
    if order.check_only or not accepted:
        await _remove(parley, draft)
        shown.notice("nobody was called" if order.check_only else "nobody to call: the campaign was not started")
        return 0 if accepted else NOTHING_DIALLED
    try:
        shown.campaign(await parley.campaigns.start(draft.campaign_id))
    except NotReachable:
        shown.notice(f"it may have been started: parley campaign show {draft.campaign_id}")
        raise
    except ParleyError:
        await _remove(parley, draft)
        raise
    return await follow(parley, draft.campaign_id, out, shown, interrupts)


async def _list_contacts(parley: ParleyClient, campaign_id: str, order: RunOrder, shown: Display) -> int:
    """Returns how many may be called."""
    report = await parley.campaigns.add_contacts(campaign_id, _blocks(order.list_file, shown), order.kind)
    shown.report(report)
    return report.accepted


async def _remove(parley: ParleyClient, draft: CampaignInfo) -> None:
    with contextlib.suppress(ParleyError):  # whatever brought us here is the better message
        await parley.campaigns.remove(draft.campaign_id)


async def follow(
    parley: ParleyClient, campaign_id: str, out: ResultsFile | None, shown: Display, interrupts: Interrupts
) -> int:
    """Show a campaign until it is over. Exit code: 0 it is done, 1 it was cancelled, or paused by Ctrl-C."""
    try:
        campaign = await interrupts.bound(_until_over(parley, campaign_id, out, shown))
    except Interrupted:
        return await _pause(parley, campaign_id, out, shown)
    shown.notice(f"{campaign.state}; the report: parley campaign report {campaign_id} --out report.html")
    return 0 if campaign.state == "done" else 1


async def _until_over(parley: ParleyClient, campaign_id: str, out: ResultsFile | None, shown: Display) -> CampaignInfo:
    pause_s, is_away = _POLL_S, False
    while True:
        try:
            campaign = await parley.campaigns.get(campaign_id)
            if out is not None and (out.rows < campaign.progress.done or campaign.state in OVER):
                await out.catch_up(parley, campaign_id)
        except ParleyError as error:
            if not error.retryable:
                raise
            if not is_away:
                shown.notice(f"{error}; waiting for it")
            is_away, pause_s = True, min(2 * pause_s, _MOST_PAUSE_S)
        else:
            if is_away:
                shown.notice("the gateway is back")
            is_away, pause_s = False, _POLL_S
            shown.campaign(campaign)
            if campaign.state in OVER:
                return campaign
        await asyncio.sleep(pause_s)


async def _pause(parley: ParleyClient, campaign_id: str, out: ResultsFile | None, shown: Display) -> int:
    """The operator has pressed Ctrl-C."""
    options = "" if out is None else f" --out {out.path}"
    try:
        campaign = await parley.campaigns.pause(campaign_id)
    except NotReachable as error:
        shown.notice(f"NOT paused, {error}; when it is back: parley campaign pause {campaign_id}")
        return 1
    except ParleyError:  # it was paused, or over, already
        campaign = await parley.campaigns.get(campaign_id)
    shown.campaign(campaign)
    shown.notice(
        f"{campaign.state}: calls that stand go on, nobody else is called. To go on: "
        f"parley campaign resume {campaign_id} --follow{options}; to end it: parley campaign cancel {campaign_id}"
    )
    return 1


async def _blocks(file: Path, shown: Display) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        total, sent = os.fstat(opened.fileno()).st_size, 0
        while block := await asyncio.to_thread(opened.read, _BLOCK_BYTES):
            yield block
            sent += len(block)
            shown.uploaded(sent, total)
