# SPDX-License-Identifier: GPL-3.0-or-later
"""Several gateways as one: which nodes there are, and what becomes of the calls of one that dies.

node       what each says of itself
keys       where that stands in Redis
registry   heartbeats, deaths
"""
