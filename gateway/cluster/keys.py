# SPDX-License-Identifier: GPL-3.0-or-later
"""Names in Redis. All nodes of one cluster, and nobody else, use one of its databases."""

NODES = "parley:nodes"
"""Set of the ids of nodes that have come and not taken their leave; who is here without a heartbeat has died."""
EVENTS = "parley:events"
"""Stream of what all nodes tell."""
RUNS = "parley:runs"
"""Hash: whose events those of a run are (`gateway.events.reading`)."""
WATCHED = "parley:watched"
"""There while somebody follows events live at any node."""


def node_key(node_id: str) -> str:
    """Its last heartbeat, as JSON; gone a second after it."""
    return f"parley:node:{node_id}"


def calls_key(node_id: str) -> str:
    """Hash of its calls: what another node needs to go on with each of them."""
    return f"parley:calls:{node_id}"


def commands_key(node_id: str) -> str:
    """Stream of what it is asked."""
    return f"parley:commands:{node_id}"


def replies_key(node_id: str) -> str:
    """Stream of what it was answered."""
    return f"parley:replies:{node_id}"


def handed_key(node_id: str) -> str:
    """List of calls that a draining node has handed to this one."""
    return f"parley:handed:{node_id}"


def settled_key(call_id: str) -> str:
    """Whether a call that was handed over has arrived: `yes` or `no`."""
    return f"parley:settled:{call_id}"


def owner_key(call_id: str) -> str:
    """Which node has a call."""
    return f"parley:owner:{call_id}"


def turn_key(name: str) -> str:
    """Who is at what only one may be at."""
    return f"parley:turn:{name}"
