# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gateway talks to, as small programs of their own: real sockets, scripted behaviour."""

__all__: list[str] = []
