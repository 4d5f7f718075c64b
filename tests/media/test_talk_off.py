# SPDX-License-Identifier: GPL-3.0-or-later
"""Real speech holds no key, no beep and no tone of the network. A part of it; all: scripts/bench/dtmf."""

import pytest

from tests.media.talk_off import speech_minutes, talk_off

_SHARE = 12


@pytest.mark.timeout(180)
@pytest.mark.parametrize("sample_rate_hz", [8000, 16000])
def test_nothing_is_heard_in_speech(sample_rate_hz: int) -> None:
    assert speech_minutes(_SHARE) > 1.5, "scripts/test installs the prompts"
    found = talk_off(sample_rate_hz, _SHARE)
    assert not any(found.values()), found
