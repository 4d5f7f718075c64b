# SPDX-License-Identifier: GPL-3.0-or-later
"""A small MCP server, written with the official SDK: orders, and a tool that comes and goes.

python -m tests.simulators.mcp_server stdio
python -m tests.simulators.mcp_server http PORT       streamable HTTP at /mcp
"""

import asyncio
import os
import sys

from mcp.server.mcpserver import Context, MCPServer

server = MCPServer("orders")


@server.tool()
def get_order(order: int) -> str:
    """Where an order is."""
    if order == 0:
        raise ValueError("there is no order 0")
    return f"order {order} left yesterday"


@server.tool()
async def slow() -> str:
    """Takes its time."""
    await asyncio.sleep(60)
    return "done"


@server.tool()
def token() -> str:
    """What the environment has."""
    return os.environ.get("ORDERS_TOKEN", "none")


@server.tool()
def die() -> str:
    """Ends the server, without goodbye."""
    os._exit(3)


def discount() -> str:
    """A tool that is not there from the beginning."""
    return "ten percent"


@server.tool()
async def sell(context: Context) -> str:
    """From now on there is a discount."""
    server.add_tool(discount)
    await context.notify_tools_changed()  # since 2026-07-28 on a stream for that, before without being asked
    await context.session.send_tool_list_changed()
    return "there is a discount now"


if __name__ == "__main__":
    if sys.argv[1] == "stdio":
        server.run("stdio")
    else:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[2]))
