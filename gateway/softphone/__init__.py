# SPDX-License-Identifier: GPL-3.0-or-later
"""The QA softphone: calls any SIP endpoint, speaks prompts, measures every answer on its own RTP clock.

arguments > main: prompts (WAV, or rendered by the offline voice) > call (SIP, RTP) > spurts (what was heard, when)
          > report (offline transcripts, text or JSON, exit code)
"""

__all__: list[str] = []
