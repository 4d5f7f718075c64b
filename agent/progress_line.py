# SPDX-License-Identifier: GPL-3.0-or-later
"""How far something is, in one line of text, for terminals and logs."""

_CELLS = 24
_MEBIBYTE = 1 << 20


def progress_line(title: str, done: int, total: int | None, unit: str) -> str:
    """`title [######------] 120 of 480 passages`; without a total no bar, bytes in MiB."""
    if not total:
        counted = f" {amount(done, unit)}" if done else ""
        return f"{title}{counted} ..."
    filled = min(_CELLS, done * _CELLS // total)
    return f"{title} [{'#' * filled}{'-' * (_CELLS - filled)}] {_bare(done, unit)} of {amount(total, unit)}"


def amount(count: int, unit: str) -> str:
    """`1,200 passages`, `3.5 MiB`."""
    return f"{_bare(count, unit)} {'MiB' if unit == 'bytes' else unit}"


def _bare(count: int, unit: str) -> str:
    return f"{count / _MEBIBYTE:.1f}" if unit == "bytes" else f"{count:,}"
