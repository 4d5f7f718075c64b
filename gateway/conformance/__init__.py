# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley conformance`: plays a gateway against somebody's backend, and tells what it does not stand.

main > checks > caller (a socket, gateway.streams.parley) > line (what the caller would hear, and when)
"""

__all__: list[str] = []
