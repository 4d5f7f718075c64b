# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls: what the gateway does between a SIP leg and whatever the call is for.

    SipEvent > switchboard (which call?) > dialplan (which route?) > call (state, audio, record) > activity

`route` says which calls are meant by a `[[route]]`, `purposes` what calls are then for. `state` is the life of a call
as a table, `call` lives one: `verdict` decides whether it is answered while it rings, `attendance` is who has it,
`audience` who hears the far end, `story` what its events tell, `ending` why it is over. `activity` and `agent` are what
calls are for, `uplink` is the chain a caller's audio passes, `journal` carries facts to the store, `control` is what
the API may do.
"""

__all__: list[str] = []
