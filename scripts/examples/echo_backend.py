#!/usr/bin/env -S bash -c 'exec "$(dirname "$(readlink -f "$0")")/../../.venv/bin/python" "$0" "$@"'
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backend that returns what it hears, and hangs up at the key #.

scripts/examples/echo_backend.py [--port 9000] [--secret whsec_...]
"""

import argparse
import asyncio

from gateway.client import DtmfMessage, StreamCall, serving


async def echo(call: StreamCall) -> None:
    if not call.start.answered:
        await call.answer()
    async for item in call:
        if isinstance(item, bytes):
            await call.play(item)
        elif isinstance(item, DtmfMessage) and item.digit == "#":
            await call.hangup()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--secret", action="append", default=[], help="let in only whom the gateway signed with it")
    options = parser.parse_args()
    async with serving(echo, port=options.port, secrets=options.secret) as backend:
        print(f"echo backend ready at {backend.url}", flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
