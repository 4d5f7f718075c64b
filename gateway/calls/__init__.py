# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls: what the gateway does between a SIP leg and whatever the call is for.

    SipEvent > switchboard (which call?) > dialplan (which route?) > call (state, audio, record) > activity

`state` is the life of a call as a table, `call` lives one, `activity` and `agent` are what calls are for, `uplink`
is the chain a caller's audio passes, `journal` carries facts to the store, `control` is what the API may do.
"""

__all__: list[str] = []
