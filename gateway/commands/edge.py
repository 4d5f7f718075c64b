# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley edge`: Kamailio and rtpengine before the nodes of a cluster (docs/edge.md)."""

import argparse
import asyncio
import contextlib
import signal
from pathlib import Path

from gateway.commands.api import Subcommands, add_config, config_of
from gateway.commands.complaint import complain
from gateway.config import Config
from gateway.telemetry.logs import configure_logging


def add_commands(commands: Subcommands) -> None:
    """To those of `parley`."""
    edge = commands.add_parser("edge", help="Kamailio and rtpengine before the nodes of a cluster")
    verbs = edge.add_subparsers(required=True, metavar="COMMAND")
    config = verbs.add_parser(
        "config",
        help="write the configuration of Kamailio and of each rtpengine",
        description="Write kamailio.cfg and a file for each [[edge.relay]], as parley.toml has it, and check it.",
    )
    config.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where to, made if it is not there")
    config.add_argument("--no-check", action="store_true", help="do not have Kamailio look over its file")
    config.set_defaults(run=_config)
    follow = verbs.add_parser(
        "follow",
        help="keep Kamailio informed of the nodes, and Prometheus of the edge",
        description="Run beside Kamailio, as its user, until SIGTERM.",
    )
    follow.set_defaults(run=_follow)
    for command in (config, follow):
        add_config(command)


def _config(options: argparse.Namespace) -> int:
    from gateway.edge.plan import check_kamailio, start_commands, write_edge

    config = config_of(options)
    written = write_edge(config, options.out)
    if not options.no_check and (fault := check_kamailio(options.out / "kamailio.cfg")) is not None:
        complain(f"Kamailio refuses its configuration:\n{fault}")
        return 1
    for file in written:
        print(file)
    print("\nto start it:\n" + "\n".join(f"  {command}" for command in start_commands(config, options.out)))
    return 0


def _follow(options: argparse.Namespace) -> int:
    config = config_of(options)
    configure_logging(config.log.level, config.log.format)
    asyncio.run(_until_stopped(config))
    return 0


async def _until_stopped(config: Config) -> None:
    from gateway.edge.follow import follow

    following = asyncio.create_task(follow(config), name="edge")
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, following.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await following
