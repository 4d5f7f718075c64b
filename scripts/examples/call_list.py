#!/usr/bin/env -S bash -c 'exec "$(dirname "$(readlink -f "$0")")/../../.venv/bin/python" "$0" "$@"'
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls a list of numbers one after the other, follows what happens, and tells how each call ended.

scripts/examples/call_list.py --key KEY [--url http://127.0.0.1:8080] [--say TEXT] NUMBER...
"""

import argparse
import asyncio

from gateway.client import ParleyClient, ParleyError


async def call_up(parley: ParleyClient, number: str, text: str | None) -> str:
    call = await parley.place(number, metadata={"list": "example"})
    async for event in parley.events(call_id=call.call_id, after=0):
        print(f"  {event.at:%H:%M:%S} {event.kind}", flush=True)
        if event.kind == "call.answered" and text is not None:
            await parley.say(call.call_id, text)
        if event.kind == "playback.finished":
            await parley.hangup(call.call_id)
        if event.kind == "call.ended":
            return str(event.data["reason"])
    return "unknown"


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("numbers", nargs="+", metavar="NUMBER", help="SIP URI, or a number for the trunk")
    parser.add_argument("--key", required=True, help="API key")
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--say", metavar="TEXT", help="say this and hang up, in place of a conversation")
    options = parser.parse_args()
    async with ParleyClient(options.url, options.key) as parley:
        for number in options.numbers:
            print(number, flush=True)
            try:
                print(f"  ended: {await call_up(parley, number, options.say)}", flush=True)
            except ParleyError as error:
                print(f"  failed: {error}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
