# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley campaign`: lists of people to call, in the gateway that runs."""

import argparse
import json
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.commands.api import Subcommands, add_gateway, add_json
from gateway.commands.campaign_display import display, printable, standing
from gateway.commands.campaign_results import ResultsFile, results_kind
from gateway.commands.client import talk
from gateway.commands.complaint import complain, failed, misused
from gateway.errors import PolicyError

if TYPE_CHECKING:
    from gateway.client import CampaignInfo, ParleyClient
    from gateway.client.campaigns import ListKind

_LIST_KINDS: "dict[str, ListKind]" = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_VERBS = {
    "pause": "no new calls; those that stand go on",
    "drain": "no new calls, ever: over when those that stand are",
    "cancel": "over at once; calls that ring are ended",
}


def add_commands(commands: Subcommands) -> None:
    """To those of `parley`."""
    campaign = commands.add_parser("campaign", help="call a list of people (docs/campaigns.md)")
    verbs = campaign.add_subparsers(required=True, metavar="COMMAND")

    run = verbs.add_parser("run", help="call a list by a policy, and follow it", description=_run.__doc__)
    run.add_argument("list", type=Path, metavar="FILE", help="whom to call: .csv with a header, or .jsonl")
    run.add_argument("--campaign", type=Path, required=True, metavar="FILE.toml", help="the policy")
    run.add_argument("--name", help="of the campaign (default: the list's)")
    run.add_argument("--check", action="store_true", help="report on the list, and call nobody")
    run.set_defaults(run=_run)

    listing = verbs.add_parser("list", help="the campaigns of the gateway, newest first")
    listing.set_defaults(run=_list)

    show = verbs.add_parser("show", help="how one stands")
    show.set_defaults(run=_show)
    resume = verbs.add_parser("resume", help="go on after a pause")
    resume.set_defaults(run=_resume)
    simple = []
    for verb, help_text in _VERBS.items():
        command = verbs.add_parser(verb, help=help_text)
        command.set_defaults(run=_act, verb=verb)
        simple.append(command)
    report = verbs.add_parser("report", help="write the report, an HTML file with plots")
    report.set_defaults(run=_report)
    results = verbs.add_parser("results", help="write the outcomes of all contacts that are done")
    results.set_defaults(run=_results)

    for command in (show, resume):
        command.add_argument("--follow", action="store_true", help="until it is over; Ctrl-C pauses it")
    for command in (run, show, resume):
        command.add_argument("--out", type=Path, metavar="FILE", help="results as they come: .csv or .jsonl")
    report.add_argument("--out", type=Path, metavar="FILE", help="where to (default: CAMPAIGN_ID.html)")
    results.add_argument("--out", type=Path, required=True, metavar="FILE", help="where to: .csv or .jsonl")
    for command in (show, resume, *simple, report, results):
        command.add_argument("campaign_id", metavar="CAMPAIGN_ID")
    for command in (listing, *simple):
        add_json(command)
    for command in (run, show, resume):
        add_json(command, "print JSON, an object per line")
    for command in (run, listing, show, resume, *simple, report, results):
        add_gateway(command)


def _run(options: argparse.Namespace) -> int:
    """Give the gateway that runs a list and a policy, print what is wrong with the list by line, call the others, show
    progress and write results as they come. Ctrl-C pauses the campaign. Exit code 0: it is done; 1: it is not (paused,
    cancelled, no gateway); 2: list, policy or usage are wrong, and nobody was called."""
    from gateway.client import InvalidRequest
    from gateway.commands import campaign_run as running

    kind = _LIST_KINDS.get(options.list.suffix.lower())
    if kind is None:
        misused(f"{options.list}: a list is a .csv or a .jsonl file")
    if not options.list.is_file():
        misused(f"{options.list}: there is no such file")
    if options.out is not None and options.out.exists():
        misused(f"{options.out} is there already: name another file")
    try:
        policy = running.read_policy(options.campaign)
    except OSError as error:
        misused(f"{options.campaign}: {error.strerror}")
    except PolicyError as error:
        for fault in error.faults:
            complain(str(fault))
        return running.NOTHING_DIALLED
    except ValueError as error:
        misused(str(error))
    order = running.RunOrder(options.list, kind, policy, options.name or options.list.stem, check_only=options.check)
    out = None if options.check else options.out

    async def run(parley: "ParleyClient") -> int:
        with _opened(out) as results, display(as_json=options.json) as shown:
            try:
                return await running.run_campaign(parley, order, results, shown, running.listen_for_interrupts())
            except InvalidRequest as error:
                for field, detail in (error.fields or {"": error.detail or error.title}).items():
                    complain(_place(field, options) + detail)
                return running.NOTHING_DIALLED

    return talk(options, run)


def _place(field: str, options: argparse.Namespace) -> str:
    """`reminders.toml: windows.0.from: `, for a field of a request."""
    if field.startswith("body.policy"):
        return ": ".join([str(options.campaign), *filter(None, [field.removeprefix("body.policy").lstrip(".")]), ""])
    return f"{options.list}: " if field in ("", "body") else f"{field}: "


def _list(options: argparse.Namespace) -> int:
    async def ask(parley: "ParleyClient") -> int:
        campaigns = await parley.campaigns.listed()
        if options.json:
            print(json.dumps({"campaigns": [one.model_dump(mode="json") for one in campaigns]}))
        else:
            for campaign in campaigns:
                print(_told(campaign))
        return 0

    return talk(options, ask)


def _show(options: argparse.Namespace) -> int:
    return talk(options, lambda parley: _follow(parley, options))


def _resume(options: argparse.Namespace) -> int:
    async def ask(parley: "ParleyClient") -> int:
        await parley.campaigns.resume(options.campaign_id)
        return await _follow(parley, options)

    return talk(options, ask)


async def _follow(parley: "ParleyClient", options: argparse.Namespace) -> int:
    from gateway.commands import campaign_run as running

    campaign_id = options.campaign_id
    if options.follow:
        with _opened(options.out) as results, display(as_json=options.json) as shown:
            return await running.follow(parley, campaign_id, results, shown, running.listen_for_interrupts())
    if options.out is not None:
        await _write_results(parley, campaign_id, options.out)
    _print(await parley.campaigns.get(campaign_id), as_json=options.json)
    return 0


def _act(options: argparse.Namespace) -> int:
    async def ask(parley: "ParleyClient") -> int:
        campaigns = parley.campaigns
        verbs = {"pause": campaigns.pause, "drain": campaigns.drain, "cancel": campaigns.cancel}
        _print(await verbs[options.verb](options.campaign_id), as_json=options.json)
        return 0

    return talk(options, ask)


def _report(options: argparse.Namespace) -> int:
    file: Path = options.out or Path(f"{options.campaign_id}.html")

    async def ask(parley: "ParleyClient") -> int:
        try:
            await parley.campaigns.save_report(options.campaign_id, file)
        except OSError as error:
            failed(f"{file}: {error.strerror}")
        print(file)
        return 0

    return talk(options, ask)


def _results(options: argparse.Namespace) -> int:
    async def ask(parley: "ParleyClient") -> int:
        rows = await _write_results(parley, options.campaign_id, options.out)
        print(f"{options.out}: {rows} rows")
        return 0

    return talk(options, ask)


async def _write_results(parley: "ParleyClient", campaign_id: str, file: Path) -> int:
    with _opened(file) as results:
        assert results is not None
        return await results.catch_up(parley, campaign_id)


def _opened(file: Path | None) -> "AbstractContextManager[ResultsFile | None]":
    """The file of results, if one is wanted."""
    if file is None:
        return nullcontext()
    kind = results_kind(file)
    if kind is None:
        misused(f"{file}: results are a .csv or a .jsonl file")
    try:
        return ResultsFile(file, kind)
    except OSError as error:
        misused(f"{file}: {error.strerror}")


def _print(campaign: "CampaignInfo", *, as_json: bool) -> None:
    print(campaign.model_dump_json() if as_json else _told(campaign))


def _told(campaign: "CampaignInfo") -> str:
    stands = standing(campaign, datetime.now(UTC))
    return f"{campaign.campaign_id}  {campaign.state:9}  {printable(campaign.name)}: {stands}"
