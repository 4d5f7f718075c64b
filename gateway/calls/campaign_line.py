# SPDX-License-Identifier: GPL-3.0-or-later
"""A campaign's calls, placed by the switchboard: `gateway.campaigns.line.Line`."""

import asyncio
import contextlib
from datetime import datetime

from pydantic import ValidationError

from gateway.api.control import ActivityKind
from gateway.api.orders import PlaceCall
from gateway.calls.activity import DeafActivity
from gateway.calls.announcements import Announcements
from gateway.calls.call import Call
from gateway.calls.campaign_order import CampaignOrder, filled_in
from gateway.calls.facts import utc
from gateway.calls.state import CallState
from gateway.calls.switchboard import Switchboard
from gateway.calls.voices import Speech, Voices
from gateway.campaigns.line import CallReport
from gateway.campaigns.policy import Policy
from gateway.errors import BadAddress, CallError
from gateway.events import Event
from gateway.store.campaign_records import ClaimedAttempt


class SwitchboardLine:
    """One for the process."""

    def __init__(self, switchboard: Switchboard, voices: Voices) -> None:
        self._switchboard = switchboard
        self._voices = voices
        self._calls: dict[str, _SwitchboardCall] = {}
        switchboard.events.follow(self._receive)

    async def place(self, attempt: ClaimedAttempt, policy: Policy, caller_id: str | None) -> "_SwitchboardCall":
        """As `Line.place`."""
        metadata = {**policy.metadata, **attempt.metadata}
        try:
            order = PlaceCall.model_validate(
                {
                    "to": attempt.number,
                    "from": caller_id,
                    "profile": policy.trunk,
                    "agent": policy.agent,
                    "metadata": metadata,
                    "timeout_s": policy.ring_s,
                }
            )
        except ValidationError as error:
            raise BadAddress("the number, or what the list says of it, is not fit for a call") from error
        message = filled_in(policy.machine.message, metadata)
        placed = self._calls[attempt.call_id] = _SwitchboardCall(self._voices)
        try:
            placed.call = await self._switchboard.place(
                order,
                call_id=attempt.call_id,
                campaign=CampaignOrder(
                    machine_action="hang_up"
                    if not message and policy.machine.action == "message"
                    else policy.machine.action,
                    message=message,
                    max_duration_s=policy.max_duration_s,
                    detect=policy.machine.detect,
                    about=metadata,
                ),
            )
        except BaseException:
            self._calls.pop(attempt.call_id, None)
            raise
        return placed

    def _receive(self, event: Event) -> None:
        if (placed := self._calls.get(event.call_id)) is None:
            return
        if event.kind == "call.answered":
            placed.answered.set()
        elif event.kind == "call.ended":
            placed.over.set()
            self._calls.pop(event.call_id, None)


class _SwitchboardCall:
    """As `gateway.campaigns.line.PlacedCall`."""

    def __init__(self, voices: Voices) -> None:
        self._voices = voices
        self.call: Call | None = None
        self.answered = asyncio.Event()
        self.over = asyncio.Event()

    async def until_answered(self) -> datetime | None:
        answered = asyncio.ensure_future(self.answered.wait())
        over = asyncio.ensure_future(self.over.wait())
        try:
            await asyncio.wait((answered, over), return_when=asyncio.FIRST_COMPLETED)
        finally:
            answered.cancel()
            over.cancel()
        answered_at = self._placed.facts.answered_at
        return None if answered_at is None else utc(answered_at)

    async def until_over(self) -> CallReport:
        await self.over.wait()
        call, facts = self._placed, self._placed.facts
        return CallReport(
            ended_at=utc(facts.ended_at or facts.started_at),
            answered_at=None if facts.answered_at is None else utc(facts.answered_at),
            end_reason=facts.end_reason or "",
            sip_code=call.final_code if facts.answered_at is None else 0,
            far_end=facts.far_end,
            far_end_confidence=facts.far_end_confidence,
            message_left=facts.message_left,
        )

    async def give_up(self) -> None:
        if self._placed.state is CallState.DIALING:
            await self.hang_up("campaign_cancelled")

    async def hang_up(self, reason: str) -> None:
        with contextlib.suppress(CallError):  # over already
            await self._placed.hang_up(reason)

    async def abandon(self, message: str) -> None:
        call = self._placed
        await call.attendance.until_attended()
        with contextlib.suppress(CallError):  # over already
            speech = self._voices.speech(message, None, None)
            call.attendance.hand_over(lambda call: _Apology(call.announcements, speech))

    @property
    def _placed(self) -> Call:
        assert self.call is not None, "the call is being placed"
        return self.call


class _Apology(DeafActivity):
    """Says that nobody has time."""

    kind: ActivityKind = "play"

    def __init__(self, announcements: Announcements, speech: Speech) -> None:
        self._announcements = announcements
        self._speech = speech

    async def run(self) -> str:
        await self._announcements.say_to_its_end(self._speech)
        return "abandoned"
