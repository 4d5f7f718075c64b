# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent: listens, decides when it is its turn, thinks, speaks, and stops when spoken over.

frames > session > stt + turn (engines) > reply (llm > sentences > tts) > utterances
"""

__all__: list[str] = []
