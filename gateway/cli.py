# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `parley`: arguments in, exit codes out (0 it worked, 1 it did not, 2 bad usage or settings).

What a command does lies elsewhere: `gateway.commands`, `gateway.app`, `gateway.softphone`, the HTTP API of a running
gateway. Much of it is imported when the command needs it, so that `--help` is quick and works without pjsua2.
"""

import argparse
import asyncio
import os
import resource
from collections.abc import Sequence
from pathlib import Path

from agent.errors import KnowledgeError, ModelError
from agent.local.models import default_model_folder
from gateway.commands import call, campaign, do_not_call, doctor, edge, keys, recording, trace
from gateway.commands.api import add_config, add_gateway, address_and_key, config_of
from gateway.commands.complaint import complain
from gateway.config import VERSION, Config
from gateway.conformance.arguments import DESCRIPTION as CONFORMANCE
from gateway.conformance.arguments import add_arguments as add_conformance_arguments
from gateway.environment import default_config_file
from gateway.errors import ConfigError, StartupError
from gateway.evaluation.arguments import DESCRIPTION as EVALUATION
from gateway.evaluation.arguments import add_arguments as add_evaluation_arguments
from gateway.softphone.arguments import add_arguments as add_softphone_arguments
from gateway.telemetry.logs import configure_logging
from media.errors import AudioFileError

_CANNOT_START = (ConfigError, StartupError, ModelError, KnowledgeError, AudioFileError)
"""What stands between the operator and a running gateway: said in one line each, exit code 2."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except _CANNOT_START as error:
        _complain([error])
    except BaseExceptionGroup as group:
        # A start that failed inside a TaskGroup comes wrapped.
        expected, others = group.split(_CANNOT_START)
        if expected is None or others is not None:
            raise
        _complain(_leaves(expected))
    except KeyboardInterrupt:
        return 1
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="parley", description="A self-hosted voice gateway with an embedded agent.")
    parser.add_argument("--version", action="version", version=f"parley {VERSION}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the gateway", description="Run the gateway until SIGTERM.")
    add_config(serve)
    serve.add_argument(
        "--workers", type=int, default=1, metavar="N", help="so many gateways as nodes of a cluster (docs/cluster.md)"
    )
    serve.set_defaults(run=_serve)

    for family in (call, trace, keys, campaign, do_not_call):
        family.add_commands(commands)

    mcp = commands.add_parser("mcp", help="offer the gateway that runs to a kit that speaks MCP over stdio")
    add_gateway(mcp)
    mcp.set_defaults(run=_mcp)

    profiles = commands.add_parser("profiles", help="what Parley knows of providers and PBXs (docs/trunks.md)")
    profiles.add_argument("names", nargs="*", metavar="[check] [NAME]", help="check: look for faults; NAME: show one")
    profiles.add_argument("--json", action="store_true", help="print one JSON object")
    profiles.set_defaults(run=_profiles)

    for family in (doctor, recording, edge):
        family.add_commands(commands)

    conformance = commands.add_parser("conformance", help="test a streaming backend", description=CONFORMANCE)
    add_conformance_arguments(conformance)
    conformance.set_defaults(run=_conformance)

    evaluation = commands.add_parser("eval", help="call an agent as a scenario has it", description=EVALUATION)
    add_evaluation_arguments(evaluation)
    add_config(evaluation)
    evaluation.set_defaults(run=_evaluate)

    softphone = commands.add_parser("softphone", help="call a SIP address, speak to it and measure its answers")
    add_softphone_arguments(softphone)
    softphone.set_defaults(run=_softphone)
    return parser


# Commands


def _serve(options: argparse.Namespace) -> int:
    config = config_of(options)
    if options.workers != 1:
        return _serve_with_workers(config, options)
    _allow_open_files(config.open_files)
    from gateway.app import run

    return run(config)


def _serve_with_workers(config: Config, options: argparse.Namespace) -> int:
    from gateway.workers import MAX_WORKERS, run_workers

    if not 1 <= options.workers <= MAX_WORKERS:
        raise StartupError(f"--workers must be 1 to {MAX_WORKERS}")
    configure_logging(config.log.level, config.log.format)
    file = options.config or default_config_file(Path())
    return run_workers(config, options.workers, ["serve", *(["--config", str(file)] if file else [])], os.environ)


def _softphone(options: argparse.Namespace) -> int:
    configure_logging("warning")
    options.models = options.models or default_model_folder(os.environ)
    from gateway.softphone.main import main as softphone

    return softphone(options)


def _evaluate(options: argparse.Namespace) -> int:
    configure_logging("error")
    options.models = options.models or default_model_folder(os.environ)
    if options.target is None:
        options.config = options.config or default_config_file(Path())
    from gateway.evaluation.main import main as evaluation

    return evaluation(options)


def _mcp(options: argparse.Namespace) -> int:
    """Serve MCP on standard input and output until it ends."""
    from gateway.mcp.stdio import serve_stdio

    asyncio.run(serve_stdio(*address_and_key(options)))
    return 0


def _conformance(options: argparse.Namespace) -> int:
    from gateway.conformance.main import main as conformance

    return conformance(options)


def _profiles(options: argparse.Namespace) -> int:
    from gateway.trunks import listing

    checks = options.names[:1] == ["check"]
    names = options.names[1:] if checks else options.names
    return listing.check(names, as_json=options.json) if checks else listing.show(names, as_json=options.json)


# Plumbing


def _allow_open_files(needed: int) -> None:
    """Raise the soft limit as far as is needed and allowed; `parley doctor` tells when that is not enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        limit = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def _complain(errors: Sequence[BaseException]) -> None:
    for error in errors:
        lines = [str(fault) for fault in error.faults] if isinstance(error, ConfigError) else [str(error)]
        for line in lines:
            complain(line)


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found.extend(_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    return found
