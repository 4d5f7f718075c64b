# SPDX-License-Identifier: GPL-3.0-or-later
"""The tools of one agent: those of all there are that its `tools` names."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

import structlog

from agent.services.llm import ToolSpec
from agent.tools.tool import Tool, ToolSource

log = structlog.get_logger(__name__)

MAX_TOOLS = 128
"""What services take at most."""


class Toolbox:
    """Shared by all calls of an agent."""

    def __init__(self, names: Iterable[str], tools: Sequence[Tool] = (), sources: Sequence[ToolSource] = ()) -> None:
        """`names`: keys of tools, with `*`: `hang_up`, `crm.*`."""
        self._names = tuple(names)
        self._tools = tuple(tool for tool in tools if self._has(tool))
        self._sources = tuple(sources)
        self._warned: set[str] = set()

    def tools(self) -> dict[str, Tool]:
        """Those of now, by the name the model knows; servers may change theirs."""
        found: dict[str, Tool] = {}
        for tool in (*self._tools, *(tool for source in self._sources for tool in source.tools() if self._has(tool))):
            name = tool.spec.name
            if len(found) >= MAX_TOOLS or name in found:
                if tool.key not in self._warned:  # once: this is asked for every turn
                    self._warned.add(tool.key)
                    log.warning("tool_left_out", tool=tool.key, cause="too many" if name not in found else "same name")
                continue
            found[name] = tool
        return found

    def specs(self) -> tuple[ToolSpec, ...]:
        """What the model is told; in the same order as long as they are the same, for its cache."""
        return tuple(tool.spec for tool in self.tools().values())

    def _has(self, tool: Tool) -> bool:
        return any(fnmatchcase(tool.key, name) for name in self._names)
