# SPDX-License-Identifier: GPL-3.0-or-later
"""Arguments of `parley conformance`."""

import argparse

DESCRIPTION = """Play a gateway against a backend that speaks parley.v1: start, audio, keys, marks, flow control, a
broken connection, messages of later versions, the end. Prints a table. Exit code 0: it stands everything; 1: it does
not, or cannot be reached; 2: bad usage."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """To the parser of the command."""
    parser.add_argument("url", metavar="URL", help="where the backend listens: ws://127.0.0.1:9000")
    parser.add_argument("--codec", choices=("l16", "pcmu", "pcma"), default="l16", help="encoding (default l16)")
    parser.add_argument("--sample-rate", type=int, choices=(8000, 16000, 24000), help="of l16, in Hz (default 8000)")
    parser.add_argument(
        "--secret",
        action="append",
        default=[],
        metavar="whsec_...",
        help="sign the connection with it, as the gateway does with stream.secrets",
    )
    parser.add_argument("--token", metavar="TOKEN", help="send Authorization: Bearer TOKEN")
    parser.add_argument("--only", action="append", default=[], metavar="CHECK", help="run this check alone; repeatable")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
