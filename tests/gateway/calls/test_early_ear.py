# SPDX-License-Identifier: GPL-3.0-or-later
"""Early media of a call that we placed is heard when it is believed, and only until the answer."""

import asyncio
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from agent.config import AgentConfig
from gateway.calls.audience import Ear
from gateway.calls.call import Call
from gateway.calls.early_ear import EarlyListener
from gateway.calls.state import CallState
from media.frames import PcmFrame, PcmSamples
from media.tones import silence, tone
from tests.fakes.services import ScriptedModel


class RingingCall:
    """As much of a `Call` as a listener needs."""

    def __init__(self) -> None:
        self.call_id = "call_1"
        self.state = CallState.DIALING
        self.is_heard_early = asyncio.Event()
        self.is_ending = False
        self.ears: list[Ear] = []
        self.audience = SimpleNamespace(add=self.ears.append, remove=self.ears.remove)
        self.known: list[str] = []
        self.dropped: list[str] = []
        self._position = 0

    def know_far_end(self, kind: str, cause: str, confidence: float | None) -> None:
        self.known.append(kind)

    def drop(self, reason: str) -> None:
        self.dropped.append(reason)
        self.is_ending = True

    def send(self, samples: PcmSamples) -> None:
        for begin in range(0, len(samples) - 159, 160):
            pcm = samples[begin : begin + 160].astype("<i2").tobytes()
            frame = PcmFrame(pcm, 8000, self._position, self._position / 8000)
            self._position += 160
            for ear in list(self.ears):
                ear([frame])


def information_tones() -> PcmSamples:
    parts = ((985.2, 380), (1370.6, 274), (1776.7, 380))
    return np.concatenate([*(tone((hz,), ms, 8000) for hz, ms in parts), silence(400, 8000)])


@pytest.fixture
async def call() -> RingingCall:
    return RingingCall()


def listener(call: RingingCall) -> EarlyListener:
    return EarlyListener(cast(Call, call), "desk", AgentConfig(), ScriptedModel)


async def test_a_call_that_leads_nowhere_is_given_up(call: RingingCall) -> None:
    listener(call)
    call.is_heard_early.set()
    call.send(information_tones())
    assert (call.known, call.dropped) == (["failed"], ["not_in_service"])


async def test_what_nobody_announced_is_not_believed(call: RingingCall) -> None:
    ear = listener(call)
    call.send(information_tones())
    assert not call.dropped
    assert ear.answered() is None


async def test_after_the_answer_the_session_hears_for_itself(call: RingingCall) -> None:
    ear = listener(call)
    call.is_heard_early.set()
    call.send(silence(100, 8000))
    known = ear.answered()
    assert known is not None
    assert known.watch.far_end.is_answered
    call.send(information_tones())
    assert not call.dropped
