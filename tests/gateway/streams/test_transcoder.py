# SPDX-License-Identifier: GPL-3.0-or-later
"""Between the leg's PCM and a stream's format."""

import numpy as np
import pytest

from gateway.streams.messages import Encoding, StreamFormat
from gateway.streams.transcoder import Decoder, Encoder, payload_ms
from media import g711
from media.tones import tone


@pytest.mark.parametrize("encoding", ["pcmu", "pcma"])
def test_g711_of_the_leg_reaches_the_backend_and_comes_back_without_loss(encoding: Encoding) -> None:
    law = g711.mu_law() if encoding == "pcmu" else g711.a_law()
    heard = law.decode(bytes(range(256)))
    (payload,) = Encoder(StreamFormat(encoding)).encode(heard.tobytes(), 8000)
    assert (law.decode(payload) == heard).all()
    assert bytes(Decoder(StreamFormat(encoding)).decode(payload, 8000)) == heard.tobytes()


def test_what_is_equal_already_is_not_touched() -> None:
    pcm = bytes(320)
    assert Encoder(StreamFormat()).encode(pcm, 8000)[0] is pcm
    assert Decoder(StreamFormat()).decode(pcm, 8000) is pcm


@pytest.mark.parametrize(
    "format",
    [StreamFormat("l16", 24000), StreamFormat("pcmu"), StreamFormat("g722", 16000), StreamFormat("opus", 48000)],
)
@pytest.mark.parametrize("rate_hz", [8000, 16000])
def test_a_tone_survives_every_format_both_ways(format: StreamFormat, rate_hz: int) -> None:
    there, back = Encoder(format), Decoder(format)
    samples = tone((440.0,), 1000, rate_hz).astype("<i2")
    size = rate_hz // 50
    payloads = [
        payload
        for begin in range(0, len(samples), size)
        for payload in there.encode(samples[begin : begin + size].tobytes(), rate_hz)
    ]
    assert sum(payload_ms(format, payload) for payload in payloads) == pytest.approx(1000, abs=25)
    heard = np.frombuffer(b"".join(bytes(back.decode(one, rate_hz)) for one in payloads), "<i2").astype(float)
    spectrum = np.abs(np.fft.rfft(heard))
    assert np.argmax(spectrum) * rate_hz / len(heard) == pytest.approx(440, abs=2)
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(np.sqrt(np.mean(samples.astype(float) ** 2)), rel=0.1)


def test_what_is_no_opus_is_nothing() -> None:
    assert bytes(Decoder(StreamFormat("opus", 48000)).decode(b"\xff\xff\xff\x01", 8000)) == b""
    assert payload_ms(StreamFormat("opus", 48000), b"") == 0
