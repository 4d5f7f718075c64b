# SPDX-License-Identifier: GPL-3.0-or-later
"""One file per revision, oldest first by number."""

__all__: list[str] = []
