# SPDX-License-Identifier: GPL-3.0-or-later
"""`[retention]`: how long what was said is kept (docs/retention.md)."""

from typing import Annotated

from pydantic import Field

from gateway.setting_types import Name, Section

Days = Annotated[float, Field(ge=0, le=36_500)]


class Keeping(Section):
    """How long; None: as the next more general rule says, and at last until it is deleted."""

    audio_days: Days | None = None
    """Recordings, since the end of the call; 0: erased as it ends."""
    transcripts_days: Days | None = None
    """What was said: transcript, turns, events of the call, its SIP messages, what agents remember of it."""
    sessions_days: Days | None = None
    """All that is left of a call, its numbers and times among it."""


class RetentionRule(Keeping):
    """`[[retention.rule]]`: of some calls. The first rule that is for a call and has the value counts."""

    agent: Name | None = None
    """Of calls that this agent has, or had last."""
    tag: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """Of calls with this word in their metadata's `tag` (several: with commas)."""


class RetentionConfig(Keeping):
    """`[retention]`: of all calls."""

    rule: tuple[RetentionRule, ...] = ()
    """What is otherwise for some of them; the first that fits counts."""
