# SPDX-License-Identifier: GPL-3.0-or-later
"""Backends as others would write them, over real sockets: nothing here imports our side of the stream."""
