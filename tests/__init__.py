# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests mirror the tree; `e2e` runs the gateway as a process and calls it with real peers."""
