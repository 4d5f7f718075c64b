# SPDX-License-Identifier: GPL-3.0-or-later
"""A live call as a stream to anybody's backend.

caller's frames > StreamSession (engine) > WireProtocol (one file per protocol) > connection > backend
backend > connection > WireProtocol > StreamSession > playout
"""
