# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from agent.progress_line import progress_line


@pytest.mark.parametrize(
    ("done", "total", "unit", "line"),
    [
        (0, None, "passages", "it ..."),
        (12, None, "passages", "it 12 passages ..."),
        (3 << 20, None, "bytes", "it 3.0 MiB ..."),
        (0, 0, "passages", "it ..."),
        (120, 480, "passages", f"it [{'#' * 6}{'-' * 18}] 120 of 480 passages"),
        (1200, 1200, "passages", f"it [{'#' * 24}] 1,200 of 1,200 passages"),
        (1 << 20, 1 << 21, "bytes", f"it [{'#' * 12}{'-' * 12}] 1.0 of 2.0 MiB"),
        (9, 3, "rows", f"it [{'#' * 24}] 9 of 3 rows"),
    ],
)
def test_a_line_says_how_far_something_is(done: int, total: int | None, unit: str, line: str) -> None:
    assert progress_line("it", done, total, unit) == line
