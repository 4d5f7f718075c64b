# SPDX-License-Identifier: GPL-3.0-or-later
"""The chain as a whole: our voice never moves the gain, levels are the wire's, what is off costs nothing."""

import numpy as np
import pytest

from gateway.calls.uplink import LineReport, Uplink
from media.frames import FrameFlags, PcmFrame, PcmSamples
from tests.agent.local.recordings import over_the_line, prompts
from tests.media.echo_line import EchoLine
from tests.media.sound import frames

RATE_HZ = 8000


def sentences(first: int, gain: float = 1.0) -> PcmSamples:
    gap = np.zeros(RATE_HZ // 2, np.int16)
    pieces = [np.concatenate((over_the_line(path), gap)) for path, _ in list(prompts().values())[first : first + 6]]
    return (np.concatenate(pieces) * gain).astype(np.int16)


def call(uplink: Uplink, sent: PcmSamples, heard: PcmSamples) -> list[PcmFrame]:
    passed: list[PcmFrame] = []
    for ours, theirs in zip(frames(sent, RATE_HZ), frames(heard, RATE_HZ), strict=True):
        uplink.receive_sent([ours])
        passed += uplink.process([theirs])
    return passed


def report_of(uplink: Uplink) -> LineReport:
    return uplink.report


def test_our_own_voice_is_neither_flagged_nor_lifted_to_the_callers_level() -> None:
    sent = sentences(40)
    passed = call(Uplink(RATE_HZ), sent, EchoLine(120, -20, "hybrid").heard(sent))
    flagged = sum(FrameFlags.SPEECH in frame.flags for frame in passed)
    assert flagged < 0.02 * len(passed)
    loudest = max(int(np.abs(frame.samples.astype(np.int32)).max()) for frame in passed[100:])
    assert loudest < 2000


def test_without_the_gate_it_would_be() -> None:
    sent = sentences(40)
    uplink = Uplink(RATE_HZ, echo_gate=False)
    passed = call(uplink, sent, EchoLine(120, -20, "hybrid").heard(sent))
    assert sum(FrameFlags.SPEECH in frame.flags for frame in passed) > 0.2 * len(passed)
    assert report_of(uplink).echo is None


def test_the_report_has_both_levels_and_the_echo() -> None:
    sent = sentences(40)
    uplink = Uplink(RATE_HZ)
    call(uplink, sent, EchoLine(120, -20, "flat").heard(sent))
    caller = sentences(90, 0.5)
    call(uplink, np.zeros(len(caller), np.int16), EchoLine(120, -20, "flat").heard(np.zeros_like(caller), caller))
    report = report_of(uplink)
    assert report.agent.speech_dbov == pytest.approx(-20, abs=4)
    assert report.caller.speech_dbov == pytest.approx(-26, abs=4)
    assert report.caller.noise_dbov == pytest.approx(-65, abs=3)
    assert report.echo is not None
    assert report.echo.delay_ms == pytest.approx(120, abs=5)
    assert report.echo.loss_db == pytest.approx(20, abs=4)
    assert report.echo.gated_ms > 1000


def test_a_line_without_echo_reports_none() -> None:
    sent = sentences(40)
    uplink = Uplink(RATE_HZ)
    call(uplink, sent, EchoLine(120, -90).heard(sent))
    assert report_of(uplink).echo is not None
    assert (report_of(uplink).echo or pytest.fail("gate")).delay_ms is None
