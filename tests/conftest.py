# SPDX-License-Identifier: GPL-3.0-or-later
"""How `scripts/test` shares the tests between two processes: first those that make calls, file by file; then everything
else, which gives way to the clocks of calls that still go on."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

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


@pytest.fixture(autouse=True, scope="session")
def loggers_follow_their_configuration() -> Iterator[None]:
    """A test that configures logging as the gateway does must not bind every logger for the tests after it."""
    configure = structlog.configure

    def without_cache(**settings: Any) -> None:
        configure(**{**settings, "cache_logger_on_first_use": False})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(structlog, "configure", without_cache)
        yield


@pytest.fixture(autouse=True)
def logging_is_as_it_was() -> Iterator[None]:
    """A command that was run here may log errors only: the next test may look for a warning."""
    before = structlog.get_config()
    yield
    if structlog.get_config() != before:
        structlog.configure(**before)


def _makes_calls(item: pytest.Item) -> bool:
    return item.path.is_relative_to(_CALLS)
