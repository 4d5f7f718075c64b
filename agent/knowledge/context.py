# SPDX-License-Identifier: GPL-3.0-or-later
"""The knowledge for a language model: the passages that bear on what the caller said, or that there are none.

Either way the model is told not to make anything up. Small talk is not looked up.
"""

from collections.abc import Sequence

from agent import cues
from agent.knowledge.entry import Match
from agent.knowledge.index import BEARS_ON
from agent.knowledge.library import Knowledge
from agent.services.llm import ContextNote, Conversation

_FOUND = (
    "The passages of the knowledge that follow may bear on what the caller said last. Facts about us come from them or"
    " from this conversation only: if they do not answer the question, say that you do not know."
)
_NOTHING_FOUND = (
    "Nothing was found in the knowledge about what the caller said last. If the caller asks for a fact about us, do not"
    " make one up: say that you do not know, and offer to take a message."
)
_SMALL_TALK = (
    cues.is_greeting,
    cues.is_thanks,
    cues.is_goodbye,
    cues.is_backchannel,
    cues.is_whole_turn,
    cues.asks_wellbeing,
    cues.asks_to_repeat,
    cues.asks_to_wait,
    cues.asks_for_presence,
    cues.asks_own_name,
    cues.asks_earlier_question,
)


class KnowledgeSource:
    """A `ContextSource` on the knowledge of an agent."""

    def __init__(self, knowledge: Knowledge, *, most: int = 4, threshold: float = BEARS_ON) -> None:
        """At most `most` passages that fit at least as well as `threshold`."""
        self._knowledge = knowledge
        self._most = most
        self._threshold = threshold

    async def notes(self, conversation: Conversation) -> Sequence[ContextNote]:
        said = [message.text for message in conversation.messages if message.role == "user"]
        if not self._knowledge.entries:
            return ()
        if not said or not said[-1].strip() or any(is_cue(said[-1]) for is_cue in _SMALL_TALK):
            return ()
        if cues.pressed_keys(said[-1]) is not None:
            return ()
        questions = [said[-1]]
        if cues.is_follow_up(said[-1]) and len(said) > 1:
            questions.append(f"{said[-2]} {said[-1]}")
        found = [match for some in await self._knowledge.find(questions, self._most) for match in some]
        matches = _best(found, self._most, self._threshold)
        if not matches:
            return (ContextNote("", _NOTHING_FOUND),)
        passages = [ContextNote(match.entry.source, _told(match)) for match in matches]
        return (ContextNote("", _FOUND), *passages)


def _best(found: Sequence[Match], most: int, threshold: float) -> list[Match]:
    """Every entry once, at its best."""
    best: dict[tuple[str, str], Match] = {}
    for match in sorted(found, key=lambda match: -match.score):
        if match.score >= threshold:
            best.setdefault((match.entry.source, match.entry.answer), match)
    return list(best.values())[:most]


def _told(match: Match) -> str:
    about = " / ".join(dict.fromkeys(part for part in (match.entry.topic, match.entry.heading) if part))
    return f"{about}: {match.entry.answer}"
