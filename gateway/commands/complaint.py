# SPDX-License-Identifier: GPL-3.0-or-later
"""What a command says on standard error before it ends."""

import sys
from typing import NoReturn


def complain(message: str) -> None:
    """One line, and the command goes on."""
    print(f"parley: {message}", file=sys.stderr)


def misused(message: str) -> NoReturn:
    """End with exit code 2: the usage or the settings are wrong."""
    complain(message)
    raise SystemExit(2)


def failed(message: str) -> NoReturn:
    """End with exit code 1: it did not work."""
    complain(message)
    raise SystemExit(1)
