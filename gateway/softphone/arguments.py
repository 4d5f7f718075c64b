# SPDX-License-Identifier: GPL-3.0-or-later
"""The softphone's command line. Light: `parley --help` imports it."""

import argparse
import re
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the softphone's arguments to its sub-parser."""
    parser.add_argument("uri", help="whom to call: sip:USER@HOST[:PORT]")
    parser.add_argument(
        "--play",
        dest="prompts",
        action="append",
        default=[],
        type=lambda text: ("play", text),
        metavar="FILE.wav",
        help="say this recording and wait for the answer; may be given several times, mixed with --say",
    )
    parser.add_argument(
        "--say",
        dest="prompts",
        action="append",
        type=lambda text: ("say", text),
        metavar="TEXT",
        help="say this in the offline voice and wait for the answer",
    )
    parser.add_argument("--codec", choices=("pcmu", "pcma", "g722", "l16", "opus"), help="offer this codec only")
    parser.add_argument(
        "--dtmf", type=_digits, metavar="DIGITS", help="press these keys first; a comma waits 2 s, a w half a second"
    )
    parser.add_argument(
        "--dtmf-method",
        choices=("auto", "rfc4733", "info", "inband"),
        default="auto",
        help="how they travel (default: as the far end takes them)",
    )
    parser.add_argument("--record", type=Path, metavar="OUT.wav", help="write what was heard to a WAV file")
    parser.add_argument(
        "--duration", type=_seconds, metavar="S", help="stay this long, and not until the last prompt is answered"
    )
    parser.add_argument(
        "--expect",
        action="append",
        default=[],
        type=_pattern,
        metavar="REGEX",
        help="what must be heard in the call, case ignored; may be given several times",
    )
    parser.add_argument("--srtp", action="store_true", help="demand encrypted media (SDES)")
    parser.add_argument(
        "--fec",
        choices=("on", "off", "always"),
        default="on",
        help="redundancy against loss: when the peer reports some, neither offered nor accepted, or from the start",
    )
    parser.add_argument("--transport", choices=("udp", "tcp", "tls"), default="udp", help="of the signalling")
    parser.add_argument("--bind", default="0.0.0.0", metavar="ADDRESS", help="own address (default: all interfaces)")
    parser.add_argument(
        "--gap-ms",
        type=int,
        default=1200,
        metavar="MS",
        help="an answer is over after this much silence (default 1200)",
    )
    parser.add_argument("--models", type=Path, metavar="FOLDER", help="folder of the offline models")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _digits(text: str) -> str:
    keys = re.sub("[a-d]", lambda found: found[0].upper(), text)
    if not re.fullmatch(r"[0-9*#A-D,w]{1,64}", keys):
        raise argparse.ArgumentTypeError("keys are 1 to 64 of 0-9 * # A-D, and `,` or `w` for pauses")
    return keys


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text, re.IGNORECASE)
    except re.error as fault:
        raise argparse.ArgumentTypeError(f"{text!r} is not a regular expression: {fault}") from fault


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value
