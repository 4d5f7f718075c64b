# SPDX-License-Identifier: GPL-3.0-or-later
"""A caller's memory on a call: fetched at its begin, asked for and kept as it goes on, written at its end.

    begin > the caller's last call: did it break off?  > its words > AgentSession.resume, "Welcome back"
          > consent, and what is remembered            > a note for the language model, a greeting by name
    said  > Remembering (agent) > ask, keep the answer, forget
    end   > what there is to keep of the call > journal > store

What resuming needs is the transcript, which is written as turns end; a line that says whose call it is goes before it.
A call that broke off without our noticing, because its network is gone, is gone on with from this process's memory.
"""

import asyncio
import time
import weakref
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import assert_never

import structlog

from agent.config import AgentConfig, MemoryConfig
from agent.realtime_session import RealtimeSession
from agent.recollection import NOTHING, Recollection
from agent.remembering import AskConsent, ConsentAnswered, Forget, Remembering, greeting_of
from agent.services.llm import Message
from agent.session import AgentSession
from gateway.calls.call import Call
from gateway.calls.journal import Journal
from gateway.errors import StoreError
from gateway.sip.identity import caller_identity
from gateway.store.memories import LastCall, MemoryRows

log = structlog.get_logger(__name__)

_LOOK_UP_S = 0.3
"""The caller is waiting: what is not found by then is done without."""
_GONE_S = 4.0
"""A call from which no packet has come for so long, while its caller calls again, is not being talked on."""
_MOST_SAID = 60
"""Entries of a transcript that a call goes on after."""
_MOST_BREAKS = 3
"""A call that broke off, was gone on with, and broke off again..."""
_EXPIRY_PERIOD_S = 3_600.0
_SPOKEN = ("user", "assistant")
_BROKEN_OFF = frozenset(("gateway_restarted", "lost", "media_timeout", "failed", "shutdown", "session_expired"))
_NETWORK = ("sip_", "q850_")


def broke_off(end_reason: str | None) -> bool:
    """Whether a call that was answered ended without either side's wish; errors of SIP and Q.850 are a network's."""
    return end_reason is not None and (end_reason in _BROKEN_OFF or end_reason.startswith(_NETWORK))


class CallerMemories:
    """Those of all calls."""

    def __init__(self, rows: MemoryRows, journal: Journal) -> None:
        self._rows = rows
        self._journal = journal
        self._live: weakref.WeakSet[CallMemory] = weakref.WeakSet()
        """Of calls that agents have now."""
        rows.on_forgotten = self._forgotten

    def of_call(self, call: Call, name: str, config: AgentConfig) -> "CallMemory | None":
        """The memory for an agent's call; None: there is to be none, or the caller is nobody in particular."""
        memory = config.memory
        if memory.remember == "off" and not memory.resume_within_s:
            return None
        identity = caller_identity(call.facts.peer, memory.match)
        return CallMemory(self, self._rows, self._journal, call, name, memory, identity) if identity else None

    async def expire(self) -> None:
        """Forget what has been remembered long enough, once an hour, until cancelled."""
        while True:
            await self._rows.forget_expired(datetime.now(UTC))
            await asyncio.sleep(_EXPIRY_PERIOD_S)

    def live(self, one: "CallMemory") -> None:
        self._live.add(one)

    def over(self, one: "CallMemory") -> None:
        self._live.discard(one)

    def gone(self, like: "CallMemory", now: float) -> "CallMemory | None":
        """Another call of the same caller with the same agent, on which nobody can be heard any more."""
        for one in self._live:
            if one is not like and one.is_like(like) and one.has_begun and one.call.silent_for(now) >= _GONE_S:
                return one
        return None

    def _forgotten(self, hashes: frozenset[str]) -> None:
        for one in self._live:
            if one.hashed in hashes:
                one.forget()


class CallMemory:
    """One call's."""

    def __init__(
        self,
        memories: CallerMemories,
        rows: MemoryRows,
        journal: Journal,
        call: Call,
        agent: str,
        config: MemoryConfig,
        identity: str,
    ) -> None:
        self.call = call
        self.hashed = rows.hash_of(identity)
        self._memories = memories
        self._rows = rows
        self._journal = journal
        self._agent = agent
        self._config = config
        self._identity = identity
        self._remembering = Remembering(config, None)
        self._session: AgentSession | RealtimeSession | None = None
        self._is_forgotten = False

    @property
    def has_begun(self) -> bool:
        """The caller has said something."""
        return self._session is not None and _has_caller(self._session.history.snapshot().messages)

    def is_like(self, other: "CallMemory") -> bool:
        return (self.hashed, self._agent) == (other.hashed, other._agent)

    async def begin(self, session: AgentSession | RealtimeSession) -> None:
        """Give the session what is known of its caller, before it runs. Never takes long, never fails."""
        self._session = session
        resumed: tuple[str, list[Message]] | None = None
        memory = NOTHING
        is_new = session.history.is_empty
        try:
            async with asyncio.timeout(_LOOK_UP_S):
                if is_new:
                    resumed = await self._broken_off()
                consent = await self._rows.consented(self._identity, self._agent, datetime.now(UTC))
                self._remembering = Remembering(self._config, consent)
                if self._remembering.is_allowed:
                    memory = await self._recall()
        except (StoreError, TimeoutError, ValueError) as error:  # ValueError: a row of another version
            log.warning("caller_not_looked_up", cause=type(error).__name__)
        session.history.memory = memory
        if is_new:
            self._journal.caller_began(
                self.call.call_id, self._identity, self._agent, None if resumed is None else resumed[0]
            )
            self._open(session, resumed, memory)
        self._memories.live(self)

    def receive_agent(self, heard_text: str, *, is_answer: bool) -> None:
        """What was heard of the agent, at the end of a reply."""
        self._remembering.receive_agent(heard_text, is_answer=is_answer)
        self._follow()

    def receive_caller(self, text: str) -> None:
        """What the caller said, once it is being answered."""
        self._remembering.receive_caller(text)
        self._follow()

    def forget(self) -> None:
        """Keep nothing of this call, and know nothing of those before."""
        self._is_forgotten = True
        if self._session is not None:
            self._session.history.memory = NOTHING

    def end(self, redacted: Callable[[Recollection], Recollection] = lambda what: what) -> None:
        """The agent has the call no longer: keep what there is to keep, `redacted`."""
        self._memories.over(self)
        if self._session is None or self._is_forgotten or not self._remembering.is_allowed:
            return
        kept = redacted(self._session.history.recollection)
        if kept:
            self._journal.remembered(self.call.call_id, self._agent, kept, self._expires_at())

    def _open(
        self, session: AgentSession | RealtimeSession, resumed: tuple[str, list[Message]] | None, memory: Recollection
    ) -> None:
        if resumed is not None:
            log.info("call_resumed", call_id=self.call.call_id, resumes=resumed[0])
            session.history.restore(resumed[1])
            session.open_with(self._config.welcome_back)
        elif (greeting := greeting_of(self._config, memory)) is not None:
            session.open_with(greeting)

    def _follow(self) -> None:
        for event in self._remembering.events():
            match event:
                case AskConsent(text):
                    self._say(text)
                case ConsentAnswered(given):
                    self._keep_consent(given)
                case Forget(text):
                    self.forget()
                    self._journal.forgot(self._identity)
                    self._keep_consent(False)
                    self._say(text)
                case _:
                    assert_never(event)

    def _keep_consent(self, given: bool) -> None:
        self._journal.consented(self._identity, self._agent, given, self._expires_at())

    def _say(self, text: str) -> None:
        if self._session is not None:
            self._session.say(text)

    def _expires_at(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=self._config.expire_days)

    async def _recall(self) -> Recollection:
        memory = NOTHING
        for one in reversed(await self._rows.recall(self._identity, self._agent, datetime.now(UTC))):
            memory = memory.followed_by(one)
        return memory

    async def _broken_off(self) -> tuple[str, list[Message]] | None:
        """The call that this one goes on with, and what was said on it."""
        if not self._config.resume_within_s or self.call.facts.direction != "inbound":
            return None
        gone = self._memories.gone(self, time.monotonic())
        if gone is not None and gone._session is not None:
            messages = gone._session.history.snapshot().messages
            return gone.call.call_id, [one for one in messages if one.role in _SPOKEN]
        last = await self._rows.last_call(self._identity, self._agent, before=self.call.call_id)
        if last is None or not broke_off(last.end_reason):
            return None
        said, ended_at = await self._said(last)
        limit = timedelta(seconds=self._config.resume_within_s)
        if not _has_caller(said) or ended_at is None or datetime.now(UTC) - ended_at > limit:
            return None
        return last.call_id, said

    async def _said(self, last: LastCall) -> tuple[list[Message], datetime | None]:
        """What was said on a call and those it went on with; and when it broke off: a process that is gone could not
        say, so that its last word must."""
        said: list[Message] = []
        ended_at = last.ended_at if last.end_reason != "gateway_restarted" else last.answered_at
        call_id: str | None = last.call_id
        for _ in range(_MOST_BREAKS):
            if call_id is None or len(said) >= _MOST_SAID:
                break
            entries = await self._rows.said(call_id, _MOST_SAID - len(said))
            if call_id == last.call_id and entries and last.end_reason == "gateway_restarted" and ended_at is not None:
                ended_at += timedelta(milliseconds=entries[-1].ended_ms)
            spoken = [Message(one.role, one.text, one.interrupted) for one in entries if one.role in _SPOKEN]
            said = [*spoken, *said]
            call_id = last.continues if call_id == last.call_id else await self._rows.continued(call_id, self._agent)
        return said, ended_at


def _has_caller(messages: Sequence[Message]) -> bool:
    """Else there is nothing to go on with."""
    return any(message.role == "user" for message in messages)
