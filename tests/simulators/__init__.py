# SPDX-License-Identifier: GPL-3.0-or-later
"""Backends as others write them, speaking their side of a protocol over a real connection."""
