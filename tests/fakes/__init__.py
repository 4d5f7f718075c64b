# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins at the boundaries, scripted in seconds: a leg, a clock that jumps, speech and language services.

virtual_time > scene (leg + services + a real AgentSession)
"""
