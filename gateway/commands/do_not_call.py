# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley do-not-call`: numbers that no campaign calls, or that one does not."""

import argparse
from typing import TYPE_CHECKING

from gateway.commands.api import Subcommands, add_gateway, add_json
from gateway.commands.client import talk

if TYPE_CHECKING:
    from gateway.client import ParleyClient


def add_commands(commands: Subcommands) -> None:
    """To those of `parley`."""
    family = commands.add_parser("do-not-call", help="numbers that campaigns do not call")
    verbs = family.add_subparsers(required=True, metavar="COMMAND")
    add = verbs.add_parser("add", help="call it no more")
    add.set_defaults(run=_add)
    listing = verbs.add_parser("list", help="all of them")
    add_json(listing, "print JSON, an object per line")
    listing.set_defaults(run=_list)
    remove = verbs.add_parser("remove", help="it may be called again")
    remove.set_defaults(run=_remove)
    for command in (add, remove):
        command.add_argument("number", metavar="NUMBER", help="E.164 (+12025550123), or a SIP URI")
        command.add_argument("--campaign", metavar="CAMPAIGN_ID", help="for this one only (default: for all)")
    for command in (add, listing, remove):
        add_gateway(command)


def _add(options: argparse.Namespace) -> int:
    async def ask(parley: "ParleyClient") -> int:
        await parley.campaigns.add_do_not_call(options.number, options.campaign)
        return 0

    return talk(options, ask)


def _list(options: argparse.Namespace) -> int:
    async def ask(parley: "ParleyClient") -> int:
        async for one in parley.campaigns.do_not_call():
            if options.json:
                print(one.model_dump_json())
            else:
                since = f"  since {one.added_at:%Y-%m-%d}" if one.added_at else ""
                print(f"{one.number}{since}" + (f"  {one.campaign_id}" if one.campaign_id else ""))
        return 0

    return talk(options, ask)


def _remove(options: argparse.Namespace) -> int:
    async def ask(parley: "ParleyClient") -> int:
        await parley.campaigns.remove_do_not_call(options.number, options.campaign)
        return 0

    return talk(options, ask)
