# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples as their users run them: each in a process of its own."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "scripts/examples"


@contextlib.asynccontextmanager
async def example(name: str, *arguments: str, **environment: str) -> AsyncIterator[str]:
    """A backend; its URL."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(EXAMPLES / f"{name}.py"),
        "--port",
        "0",
        *arguments,
        stdout=subprocess.PIPE,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        yield line.decode().split()[-1]
    finally:
        process.terminate()
        await process.wait()
