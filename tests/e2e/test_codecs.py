# SPDX-License-Identifier: GPL-3.0-or-later
"""Real peers, every codec, both directions, judged by the words that arrive."""

import re
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from media.tones import silence
from media.wav import read_wav, write_wav
from tests.e2e.conftest import ANNOUNCEMENT, Voice
from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.peers import CODECS, run_baresip, run_sipp, sipp_codec, softphone
from tests.mulaw import mu_law

NAMES = {
    "pcmu": "PCMU",
    "pcma": "PCMA",
    "g722": "G722",
    "l16": "L16",
    "l16-8k": "L16",
    "l16-16k": "L16",
    "opus": "OPUS",
}


def _words(text: str) -> str:
    return " ".join(re.findall(r"[a-z]+", text.lower()))


def _asked_for_hours(session: dict[str, Any]) -> bool:
    said = [entry["text"].lower() for entry in session["transcript"] if entry["role"] == "user"]
    return any("opening" in text for text in said)


@pytest.mark.parametrize("codec", list(CODECS))
def test_sipp_returns_an_announcement_that_is_still_understood(
    gateway: GatewayProcess, voice: Voice, tmp_path: Path, codec: str
) -> None:
    done = run_sipp(gateway, "caller.xml", "play", "-rtp_echo", *sipp_codec(codec), folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    session = gateway.newest_session()
    assert session["codec"] == NAMES[codec]
    returned, sent = _announcement_heard(gateway, session, voice)
    assert _share_heard(sent) >= 0.75, sent
    assert _share_heard(returned) >= 0.75, returned


def test_sipp_asks_the_agent_and_is_understood(gateway: GatewayProcess, voice: Voice, tmp_path: Path) -> None:
    speech = np.concatenate([np.zeros(20000, np.int16), voice.say("What are your opening hours?", 8000)])
    (tmp_path / "speech.ulaw").write_bytes(mu_law(np.concatenate([speech, np.zeros(48000, np.int16)])))
    done = run_sipp(gateway, "talker.xml", "agent", "-d", "10000", folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    session = gateway.newest_session(_asked_for_hours)
    assert any(entry["role"] == "assistant" and "Monday" in entry["text"] for entry in session["transcript"])


@pytest.mark.parametrize("codec", ["pcmu", "pcma", "g722", "l16", "opus"])
def test_baresip_decodes_and_returns_an_announcement_that_is_still_understood(
    gateway: GatewayProcess, voice: Voice, tmp_path: Path, codec: str
) -> None:
    log = run_baresip(gateway, "play", codec, folder=tmp_path, talk_s=8)
    session = gateway.newest_session()
    assert session["codec"] == NAMES[codec], log
    returned, sent = _announcement_heard(gateway, session, voice)
    assert _share_heard(sent) >= 0.75, sent
    assert _share_heard(returned) >= 0.75, returned


def test_baresip_asks_the_agent_and_is_understood(
    gateway: GatewayProcess, voice: Voice, question: Path, tmp_path: Path
) -> None:
    speech = tmp_path / "speech.wav"
    samples, rate_hz = read_wav(question)
    write_wav(speech, np.concatenate([silence(3000, rate_hz), samples, silence(30_000, rate_hz)]), rate_hz)
    log = run_baresip(gateway, "agent", "g722", folder=tmp_path, talk_s=12, speech=speech)
    assert _asked_for_hours(gateway.newest_session()), log


@pytest.mark.parametrize("codec", ["pcmu", "pcma", "g722", "l16", "opus"])
def test_the_softphone_asks_and_hears_the_answer(gateway: GatewayProcess, codec: str, question: Path) -> None:
    report = softphone(gateway, "agent", "--codec", codec, "--play", str(question), "--expect", "monday")
    assert report["exit"] == 0, report
    assert report["codec"] == NAMES[codec]
    assert "help" in report["greeting"].lower()
    assert report["turns"][0]["response_ms"] < 2000
    assert _asked_for_hours(gateway.newest_session())


def _announcement_heard(gateway: GatewayProcess, session: dict[str, Any], voice: Voice) -> list[str]:
    """What the recording's two tracks say. Ours came back from the peer on the caller's track, so that track has the
    words only if both directions carry speech."""
    stereo, rate_hz = _stereo(gateway.data_dir / "recordings" / f"{session['call_id']}.wav")
    return [_words(voice.hear(stereo[:, track], rate_hz)) for track in (0, 1)]


def _share_heard(words: str) -> float:
    """Share of the announcement's words among what was heard: recognition may stumble over one."""
    expected = _words(ANNOUNCEMENT).split()
    return sum(word in words.split() for word in expected) / len(expected)


def _stereo(path: Path) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.int16]], int]:
    with wave.open(str(path)) as file:
        assert file.getnchannels() == 2
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2)
        return samples, file.getframerate()
