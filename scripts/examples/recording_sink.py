#!/usr/bin/env -S bash -c 'exec "$(dirname "$(readlink -f "$0")")/../../.venv/bin/python" "$0" "$@"'
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sink for forks: writes what callers say to WAV files, while somebody else talks with them.

    scripts/examples/recording_sink.py [--port 9000] [--folder .]

Order the stream with direction inbound and codec l16. A connection that the gateway makes anew gets a file of its own.
"""

import argparse
import asyncio
import itertools
import wave
from pathlib import Path

from gateway.client import StreamCall, serving


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--folder", type=Path, default=Path())
    options = parser.parse_args()

    async def record(call: StreamCall) -> None:
        if call.format.encoding != "l16":
            raise ValueError("order the stream with codec l16")
        names = (options.folder / f"{call.start.stream_id}-{number}.wav" for number in itertools.count(1))
        path = next(name for name in names if not name.exists())
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(call.format.sample_rate)
            async for item in call:
                if isinstance(item, bytes):
                    file.writeframes(item)
        print(f"{path}: {call.stop_reason}", flush=True)

    async with serving(record, port=options.port) as backend:
        print(f"recording sink ready at {backend.url}", flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())
