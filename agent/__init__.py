# SPDX-License-Identifier: GPL-3.0-or-later
"""The agent: listens, decides when it is its turn, thinks, speaks, and stops when spoken over.

frames > session > speech, recognition (ear > stt) > turn (endpointing, interruption, keypad) > actions
actions > dialogue > thinking (knowledge, llm, tools) > reply (clauses > speakable > tts) > utterances

turn_state, turn_actions   the state machine of turns; what it wants done
pause_questions            what services are asked when the caller pauses
speculation                answers begun before the turn is over
silence, far_end           who says nothing; who took a call that we placed
conversation, summary      what was said and heard, and its beginning in fewer words
call_facts, config         what an agent is told of its call; its settings
services                   what it needs of the outside: `local` and `clients` implement it
"""

__all__: list[str] = []
