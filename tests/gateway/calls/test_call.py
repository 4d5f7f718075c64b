# SPDX-License-Identifier: GPL-3.0-or-later
"""The end of a call, when something of it fails."""

from pathlib import Path
from typing import Any, cast

import pytest

from gateway.calls.activity import Activity
from gateway.calls.call import Call
from gateway.calls.facts import CallFacts
from gateway.calls.journal import Journal
from gateway.calls.recording import CallRecording
from gateway.events import Event, EventBus
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.events import CallEnded
from gateway.telemetry import Metrics
from media.ports import CallAudio, PcmHub
from media.recorder import RecordingWriter

_NONE = cast(Any, None)


class Ends:
    """The journal, as far as the end of a call writes into it."""

    def __init__(self) -> None:
        self.reasons: list[str | None] = []

    def ended(self, facts: CallFacts, quality: object) -> None:
        self.reasons.append(facts.end_reason)


class BrokenAudio:
    """Audio of which nothing can be had."""

    is_closed = False

    def __init__(self, fails_at: str) -> None:
        self._fails_at = fails_at

    def counters(self) -> object:
        if self._fails_at == "counters":
            raise OSError("counters")
        return cast(Any, type("Counters", (), dict.fromkeys(_COUNTERS, 0)))

    def close(self) -> None:
        self.is_closed = True
        if self._fails_at == "close":
            raise OSError("close")


_COUNTERS = ("frames_dropped", "frames_skipped", "underruns", "samples_refused")


@pytest.mark.parametrize("fails_at", ["counters", "close", "recording"])
async def test_a_call_whose_last_things_fail_is_recorded_as_ended(fails_at: str, tmp_path: Path) -> None:
    ends, told, bus = Ends(), list[Event](), EventBus()
    bus.follow(told.append)
    recording = CallRecording(RecordingWriter("wav", None), tmp_path, "call_1")
    if fails_at == "recording":

        async def close() -> None:
            raise OSError("recording")

        recording.close = close  # type: ignore[method-assign]
    call = Call(
        CallFacts("call_1", "outbound", "parley", "ann"),
        cast(SipEndpoint, None),
        cast(PcmHub, None),
        cast(Journal, ends),
        Metrics(),
        lambda call: cast(Activity, _NONE),
        recording,
        bus,
    )
    audio = BrokenAudio(fails_at)
    call.audio = cast(CallAudio, audio)
    call.receive(CallEnded("call_1", 486, "Busy Here", ended_by_peer=True))
    # Where nothing else has failed, rating does: this audio has no sample rate.
    with pytest.raises((OSError, AttributeError)):
        await call.run()
    assert ends.reasons == ["sip_486"]
    assert [event.kind for event in told] == ["call.ended"]
    assert audio.is_closed
