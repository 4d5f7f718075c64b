# SPDX-License-Identifier: GPL-3.0-or-later
"""A command that talks to the gateway by `gateway.client`: connect, work, and say in one line what went wrong."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import httpx

from gateway.commands.api import address_and_key, no_gateway
from gateway.commands.complaint import failed

if TYPE_CHECKING:
    from gateway.client import ParleyClient


def talk(options: argparse.Namespace, work: "Callable[[ParleyClient], Awaitable[int]]") -> int:
    """Run the work in an event loop of its own; its exit code. Ends the command when the gateway refuses, or is not
    there."""
    from gateway.client import ApiError, NotReachable, ParleyClient, ParleyError

    address, key = address_and_key(options)

    async def run() -> int:
        async with ParleyClient(address, key) as parley:
            return await work(parley)

    try:
        return asyncio.run(run())
    except NotReachable as error:
        failed(no_gateway(address, str(error.__cause__ or "") or type(error.__cause__ or error).__name__))
    except httpx.InvalidURL as error:
        failed(no_gateway(address, error))
    except ApiError as error:
        said = "; ".join(f"{field}: {detail}" for field, detail in error.fields.items()) or error.detail or error.title
        failed(f"the gateway refused ({error.status}): {said}")
    except ParleyError as error:
        failed(str(error))
