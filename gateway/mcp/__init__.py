# SPDX-License-Identifier: GPL-3.0-or-later
"""Parley as an MCP server: agent kits place calls, follow them and end them.

    kit ── streamable HTTP ──> /mcp (endpoint) ──┐
        ── stdio ── `parley mcp` (stdio) ────────┴─> server: tools ──> the REST API, with the kit's own key

Whatever a key may not do over REST it may not do here, and what REST says of an error, tools say. The SDK is imported
only where this is in use: `http.mcp = true`, or `parley mcp`.
"""
