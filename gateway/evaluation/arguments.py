# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments of `parley eval`. Light: `parley --help` imports it."""

import argparse
from pathlib import Path

DESCRIPTION = """Call an agent as a scenario has it (speech, pauses, interruptions, noise, echo, keys), and hold what
was heard, understood and measured against its expectations. Without --target a gateway is started, with ports and data
of its own. Exit code 0: every expectation was met; 1: not, or the call failed; 2: bad usage or file."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """To the parser of the command; it has --config already."""
    parser.add_argument("scenarios", nargs="+", type=Path, metavar="SCENARIO.toml", help="one after the other")
    parser.add_argument("--target", metavar="URI", help="a gateway that runs: sip:USER@HOST[:PORT]")
    parser.add_argument("--api", metavar="URL", help="its HTTP API, for what it understood and its ledgers")
    parser.add_argument("--key", metavar="KEY", help="API key (default: PARLEY_API_KEY)")
    parser.add_argument("--repeat", type=int, metavar="N", help="instead of the scenario's own count")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--html", type=Path, metavar="FILE.html", help="write a report with waveforms and waterfalls")
    parser.add_argument("--models", type=Path, metavar="FOLDER", help="folder of the offline models")
