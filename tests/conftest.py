# SPDX-License-Identifier: GPL-3.0-or-later
"""How `scripts/test` shares the tests between two processes: first those that make calls, file by file; then everything
else, which gives way to the clocks of calls that still go on."""

import os
from pathlib import Path

import pytest

_CALLS = Path(__file__).parent / "e2e"
_NICE = 10


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not _makes_calls(item))
    for item in items:
        if _makes_calls(item):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ and not _makes_calls(item) and os.nice(0) < _NICE:
        os.nice(_NICE - os.nice(0))


def _makes_calls(item: pytest.Item) -> bool:
    return item.path.is_relative_to(_CALLS)
