# SPDX-License-Identifier: GPL-3.0-or-later
"""The evaluation kit: scripted callers over real RTP, and whether the agent did what it should.

SCENARIO.toml > scenario > main: voice (offline) > caller (SIP, RTP) with mouth (voice, noise, echo)
              > timeline (what was heard, when) + record (what the gateway knows) > checks > report, html, exit code
"""

__all__: list[str] = []
