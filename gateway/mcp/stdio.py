# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley mcp`: the same tools over standard input and output, for kits that start their servers themselves."""

import httpx
from mcp.server.stdio import stdio_server

from gateway.mcp.server import mcp_server, shared

_TIMEOUT_S = 30.0


async def serve_stdio(address: str, key: str) -> None:
    """Until standard input ends. `address`: of a gateway that runs."""
    async with (
        httpx.AsyncClient(
            base_url=f"{address.rstrip('/')}/api/v1",
            headers={"Authorization": f"Bearer {key}"},
            timeout=_TIMEOUT_S,
            trust_env=False,
        ) as client,
        stdio_server() as (incoming, outgoing),
    ):
        server = mcp_server(lambda context: shared(client))
        await server.run(incoming, outgoing, server.create_initialization_options())
