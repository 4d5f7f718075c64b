# SPDX-License-Identifier: GPL-3.0-or-later
"""Early media of a call that we placed, heard for who or what is there: a call that leads nowhere is given up."""

import time

import structlog

from agent.config import AgentConfig
from agent.early_ear import EarlyEar
from agent.far_end import EndCall, FarEndRecognized
from agent.speech import MakeSpeechModel
from gateway.calls.call import Call
from gateway.calls.state import CallState
from media.frames import PcmFrame

log = structlog.get_logger(__name__)


class EarlyListener:
    """Of one call that rings there. Frames are believed only when a response said that they come (183 with a session
    description) and the trunk's early media is believed at all."""

    def __init__(self, call: Call, agent: str, config: AgentConfig, make_speech_model: MakeSpeechModel) -> None:
        self.agent = agent
        self._call = call
        self._config = config
        self._make_speech_model = make_speech_model
        self._ear: EarlyEar | None = None
        """None: nothing was heard before the answer."""
        call.audience.add(self._receive_frames)

    def answered(self) -> EarlyEar | None:
        """The agent has the call now: what it is to go on with."""
        self._call.audience.remove(self._receive_frames)
        if self._ear is not None:
            self._ear.answered(time.monotonic())
        return self._ear

    def _receive_frames(self, frames: list[PcmFrame]) -> None:
        call = self._call
        if call.state is not CallState.DIALING or not call.is_heard_early.is_set() or call.is_ending:
            return
        if self._ear is None:
            self._ear = EarlyEar(self._config, self._make_speech_model, frames[0].sample_rate_hz)
        for event in self._ear.receive_frames(frames):
            match event:
                case FarEndRecognized(kind, cause, confidence):
                    call.know_far_end(kind.value, cause, confidence)
                case EndCall(reason):
                    log.info("call_leads_nowhere", call_id=call.call_id, cause=reason)
                    call.drop(reason)
