# SPDX-License-Identifier: GPL-3.0-or-later
"""Several gateways as one: which nodes there are, and what becomes of the calls of one that dies.

node       what each says of itself
keys       where that stands in Redis
registry   heartbeats, deaths
    membership this gateway as a node: events and metrics of the cluster

    snapshot     what another node needs to go on with a call
    call_states  keeps that in Redis while the call lasts; fences who has lost it
    adoption     takes over the calls of the dead, and what draining nodes hand over
    failover     puts these three together
"""
