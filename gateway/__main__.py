# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m gateway` is `parley`."""

import sys

from gateway.cli import main

if __name__ == "__main__":
    sys.exit(main())
