# SPDX-License-Identifier: GPL-3.0-or-later
"""Several recognisers as one.

    push > the turn's audio (kept) > the present member's stream ──────────> partials, `final`
                                   > it fails, or is late: another stream is opened and hears the turn from its
                                     beginning ────────────────────────────> partials, `final`

The turn's transcript is one member's, so that no word comes twice. The next turn is the first member's again, when
that is well.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

import numpy as np
import structlog

from agent.chains.continuation import joined_transcripts
from agent.chains.events import FellBack, OnChainEvent
from agent.chains.member import Member
from agent.chains.race import Rules, race
from agent.deadlines import in_time
from agent.errors import ServiceError, ServiceUnavailable
from agent.services.stt import SpeechToText, SttStream, Transcript
from media.frames import PcmSamples

log = structlog.get_logger(__name__)

_FINAL_S = 0.5
_OPEN_MS = 2_000
_WORDLESS_S = 0.2
"""A transcript without words waits so long for another member's: a service that dies in silence has none either. Not
longer: a cough has no words for anybody, and whoever waits for the transcript has a deadline."""
_TURN_S = 60.0
"""Of a turn so much is kept for another recogniser; older audio is dropped, and its words are the first one's."""

SttMember = Member[SpeechToText]
OnPartial = Callable[[Transcript], None]
OpenOne = Callable[[SttMember, OnPartial], Awaitable[SttStream]]


class SpeechToTextChain:
    """A `SpeechToText`. Its members belong to whoever made them: it closes none."""

    def __init__(
        self,
        name: str,
        members: Sequence[SttMember],
        *,
        hedge_after_ms: int = 0,
        on_event: OnChainEvent = lambda event: None,
    ) -> None:
        """`hedge_after_ms`: after waiting so long for a transcript the next one is asked as well; 0: after 0.5 s."""
        self._members = tuple(members)
        patience_s = hedge_after_ms / 1e3 or _FINAL_S
        self._rules = Rules(name, "stt", patience_s, patience_s, on_event, takes_place=False)

    async def open(
        self,
        *,
        sample_rate_hz: int,
        on_partial: OnPartial,
        hints: Sequence[str] = (),
        language: str = "en",
    ) -> SttStream:
        """A stream for one caller. Raises `ServiceError` when no member can be opened."""

        async def open_one(member: SttMember, on_partial: OnPartial) -> SttStream:
            opening = member.service.open(
                sample_rate_hz=sample_rate_hz, on_partial=on_partial, hints=hints, language=language
            )
            return await in_time(opening, member.name, _OPEN_MS)

        stream = _ChainStream(self._rules, self._members, open_one, sample_rate_hz, on_partial)
        try:
            await stream.begin()
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def aclose(self) -> None: ...


class _Branch:
    """One member's stream for this caller."""

    def __init__(
        self, member: SttMember, leave: Callable[[], None], on_partial: Callable[["_Branch", Transcript], None]
    ) -> None:
        self.member = member
        self.stream: SttStream
        """Once it is open."""
        self.began_at = 0
        """Samples of the call before its first one."""
        self._leave = leave
        self._on_partial = on_partial
        self._is_closed = False

    def receive_partial(self, transcript: Transcript) -> None:
        if not self._is_closed:
            self._on_partial(self, transcript)

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        self._leave()
        try:
            await self.stream.aclose()
        except Exception as error:  # of a stream that nobody uses any more
            log.warning("stt_stream_not_closed", service=self.member.name, cause=type(error).__name__)


class _ChainStream:
    """One caller's."""

    def __init__(
        self,
        rules: Rules,
        members: Sequence[SttMember],
        open_one: OpenOne,
        sample_rate_hz: int,
        on_partial: OnPartial,
    ) -> None:
        self._rules = rules
        self._members = tuple(members)
        self._open_one = open_one
        self._on_partial = on_partial
        self._sample_rate_hz = sample_rate_hz
        self._audio = _Audio(round(_TURN_S * sample_rate_hz))
        """The turn's."""
        self._present: _Branch | None = None
        self._asked: list[_Branch] = []
        """Those that hear the turn as well, while they are asked for its words."""
        self._next: _Branch | None = None
        """A better member's, for the next turn."""
        self._lost: set[str] = set()
        """Members that have failed in this turn."""
        self._text = ""
        """What the present member last made of the turn."""
        self._earlier = ""
        """What an earlier one had made of it, when not all of the audio is there any more."""
        self._opening: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

    async def begin(self) -> None:
        """Open the first member that can be. Raises `ServiceError`."""
        failures: list[ServiceError] = []
        for member in self._members:
            try:
                branch = await self._open_well(member)
            except ServiceError as error:
                failures.append(error)
                continue
            self._present = branch
            if failures:
                self._fell_back(member)
            return
        raise next((error for error in reversed(failures) if error.retryable), failures[-1])

    def push(self, samples: PcmSamples) -> None:
        self._audio.push(samples)
        for branch in (*self._asked, *(() if self._present is None else (self._present,))):
            try:
                branch.stream.push(samples)
            except Exception as error:  # whatever its client has met: another recogniser hears it
                self._lose(branch, ServiceUnavailable(branch.member.name, f"takes no audio ({type(error).__name__})"))

    async def final(self) -> Transcript:
        """The turn's words. Raises `ServiceError` when no member has any."""
        if self._present is None and self._opening is not None:
            await asyncio.wait((self._opening,))
        first = None if self._present is None else self._present.member
        order = sorted(self._members, key=lambda member: (member is not first, member.name in self._lost))
        opened: list[_Branch] = []
        asked: list[SttMember] = []
        answers = race(self._rules, order, lambda member: self._ask(member, asked, opened))
        try:
            async with aclosing(answers):
                async for branch, transcript in answers:
                    self._use(branch)
                    return self._told(branch, transcript)
            raise ServiceUnavailable(self._rules.chain, "gave no transcript")
        finally:
            for branch in opened:
                if branch in self._asked:
                    self._asked.remove(branch)
                if branch is not self._present:
                    self._close(branch)

    def next_turn(self, keep_ms: int) -> None:
        keep = keep_ms * self._sample_rate_hz // 1000
        self._audio.forget(keep)
        self._lost.clear()
        self._text = self._earlier = ""
        present = self._present
        if self._next is not None:
            branch, self._next = self._next, None
            self._adopt(branch)
        elif present is not None:
            try:
                present.stream.next_turn(keep_ms)
            except Exception as error:  # as above
                self._lose(present, ServiceUnavailable(present.member.name, f"broke down ({type(error).__name__})"))
        self._maybe_return()

    async def aclose(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait((self._opening,))
        for branch in (self._present, self._next, *self._asked):
            if branch is not None:
                await branch.aclose()
        self._present = self._next = None
        if self._closing:
            await asyncio.wait(self._closing)

    async def _ask(
        self, member: SttMember, asked: list[SttMember], opened: list[_Branch]
    ) -> AsyncGenerator[tuple[_Branch, Transcript], None]:
        """The turn's words from this member; one that has not heard it is opened, and hears it now."""
        asked.append(member)
        branch = self._present
        if branch is not None and branch.member is member:
            try:
                transcript = await branch.stream.final()
                if not transcript.text and len(asked) > 1:
                    await asyncio.sleep(_WORDLESS_S)
                yield branch, transcript
            except Exception:  # whatever its client has met: it is of no more use in this turn
                self._leave_behind(branch)
                raise
            return
        branch = await self._open(member)
        opened.append(branch)
        self._asked.append(branch)
        self._replay(branch)
        yield branch, await branch.stream.final()

    def _use(self, branch: _Branch) -> None:
        """Its words count from now on."""
        if branch is self._present:
            return
        if self._present is not None:
            self._leave_behind(self._present)
        if branch in self._asked:
            self._asked.remove(branch)
        self._present = branch
        self._take_over()

    def _adopt(self, branch: _Branch) -> None:
        """Go on with this one, from the beginning of the turn."""
        old, self._present = self._present, branch
        if old is not None:
            self._close(old)
        self._take_over()
        try:
            self._replay(branch)
        except Exception as error:  # as above
            self._lose(branch, ServiceUnavailable(branch.member.name, f"takes no audio ({type(error).__name__})"))

    def _take_over(self) -> None:
        if self._audio.has_dropped:
            self._earlier = self._text

    def _replay(self, branch: _Branch) -> None:
        audio = self._audio.all()
        branch.began_at = self._audio.pushed - len(audio)
        if len(audio):
            branch.stream.push(audio)

    def _lose(self, branch: _Branch, error: ServiceError) -> None:
        """It has broken down between two questions."""
        log.warning("service_lost", chain=self._rules.chain, service=branch.member.name, detail=error.detail)
        try:
            request = branch.member.begin(takes_place=False)
        except ServiceUnavailable:
            pass  # it is known
        else:
            request.failed(error)
            request.close()
        if branch in self._asked:
            self._asked.remove(branch)  # its answer tells the rest
        elif branch is self._present:
            self._leave_behind(branch)
            self._reopen([member for member in self._members if member is not branch.member])

    def _leave_behind(self, branch: _Branch) -> None:
        self._lost.add(branch.member.name)
        if branch is self._present:
            self._present = None
        self._close(branch)

    def _close(self, branch: _Branch) -> None:
        task = asyncio.create_task(branch.aclose(), name=f"stt-close-{branch.member.name}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _maybe_return(self) -> None:
        """Open a better member than the present one, if there is one that is well."""
        present = self._present
        index = len(self._members) if present is None else self._members.index(present.member)
        if better := [member for member in self._members[:index] if member.is_well]:
            self._reopen(better)

    def _reopen(self, members: Sequence[SttMember]) -> None:
        """Open the first of these that can be: for now, if nobody hears the turn; else for the next one."""
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open_first(members), name=f"stt-open-{self._rules.chain}")

    async def _open_first(self, members: Sequence[SttMember]) -> None:
        for member in members:
            try:
                branch = await self._open_well(member)
            except ServiceError as error:
                log.warning("service_not_opened", service=error.service, detail=error.detail)
                continue
            if self._present is None:
                self._adopt(branch)
                self._fell_back(member)
            else:
                self._next = branch
            return

    async def _open_well(self, member: SttMember) -> _Branch:
        """Open it, and let its breaker know. Raises `ServiceError`."""
        request = member.begin(takes_place=False)
        try:
            branch = await self._open(member)
        except ServiceError as error:
            request.failed(error)
            raise
        else:
            request.answered()
            return branch
        finally:
            request.close()

    async def _open(self, member: SttMember) -> _Branch:
        leave = member.enter()
        branch = _Branch(member, leave, self._receive_partial)
        try:
            branch.stream = await self._open_one(member, branch.receive_partial)
        except BaseException:
            leave()
            raise
        return branch

    def _receive_partial(self, branch: _Branch, transcript: Transcript) -> None:
        if branch is self._present:
            self._on_partial(self._told(branch, transcript))

    def _told(self, branch: _Branch, transcript: Transcript) -> Transcript:
        """As the whole turn's, timed from the call's first sample."""
        if self._earlier:
            transcript = replace(transcript, text=joined_transcripts(self._earlier, transcript.text))
        self._text = transcript.text
        shift_ms = branch.began_at * 1e3 / self._sample_rate_hz
        if shift_ms and transcript.words:
            words = tuple(
                replace(word, started_ms=word.started_ms + shift_ms, ended_ms=word.ended_ms + shift_ms)
                for word in transcript.words
            )
            transcript = replace(transcript, words=words)
        return transcript

    def _fell_back(self, member: SttMember) -> None:
        self._rules.on_event(FellBack(self._rules.chain, "stt", member.name))


class _Audio:
    """A turn's samples, up to a number; drops oldest."""

    def __init__(self, max_samples: int) -> None:
        self._max_samples = max_samples
        self._pieces: deque[PcmSamples] = deque()
        self._held = 0
        self.pushed = 0
        """Samples since the beginning of the call."""
        self.has_dropped = False
        """Since `forget`."""

    def push(self, samples: PcmSamples) -> None:
        self._pieces.append(samples)
        self._held += len(samples)
        self.pushed += len(samples)
        while self._held > self._max_samples and len(self._pieces) > 1:
            self._held -= len(self._pieces.popleft())
            self.has_dropped = True

    def forget(self, keep: int) -> None:
        """All but the newest `keep` samples."""
        kept = self.all()
        kept = kept[len(kept) - min(keep, len(kept)) :]
        self._pieces = deque((kept,) if len(kept) else ())
        self._held = len(kept)
        self.has_dropped = False

    def all(self) -> PcmSamples:
        return np.concatenate(list(self._pieces)) if self._pieces else np.empty(0, np.int16)
