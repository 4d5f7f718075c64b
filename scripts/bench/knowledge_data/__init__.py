# SPDX-License-Identifier: GPL-3.0-or-later
"""Fifty pages about a holiday park that does not exist, and what its callers ask."""
