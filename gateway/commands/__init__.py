# SPDX-License-Identifier: GPL-3.0-or-later
"""What the subcommands of `parley` do, a file for each family of them; `gateway.cli` is the door.

gateway.cli > add_arguments of each file > its functions > api (HTTP of the gateway that runs)
"""
