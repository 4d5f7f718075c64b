# SPDX-License-Identifier: GPL-3.0-or-later
"""Ogg Opus that other programs play: in place, in stereo, and exactly as long as it should be."""

import numpy as np
import pytest

from media.frames import SAMPLE_RATES_HZ
from media.ogg_opus import OggOpusEncoder
from tests.media.decoder import decoded
from tests.media.sound import sine


def encoded(content: np.ndarray[tuple[int, int], np.dtype[np.int16]], rate_hz: int, block: int) -> bytes:
    encoder = OggOpusEncoder(rate_hz)
    parts = [encoder.begin()]
    parts += [encoder.encode(content[at : at + block]) for at in range(0, len(content), block)]
    return b"".join([*parts, encoder.finish()])


@pytest.mark.parametrize("rate_hz", SAMPLE_RATES_HZ)
@pytest.mark.parametrize("samples", [1, 160, 12345])
def test_the_length_is_exact_at_every_rate(rate_hz: int, samples: int) -> None:
    silence = np.zeros((samples, 2), np.int16)
    content, decoded_hz = decoded(encoded(silence, rate_hz, block=rate_hz // 4 + 7))
    assert decoded_hz == 48000  # whatever went in (RFC 7845 section 5.1)
    assert len(content) == samples * 48000 // rate_hz


def test_the_two_channels_stay_apart_and_in_place() -> None:
    quiet = np.zeros(8000, np.int16)
    left = np.concatenate((quiet, sine(500, 1.0, 8000), quiet, quiet))
    right = np.concatenate((quiet, quiet, sine(1500, 1.0, 8000), quiet))
    content, rate_hz = decoded(encoded(np.column_stack((left, right)), 8000, block=2000))
    power = (content.reshape(4, rate_hz, 2).astype(float) ** 2)[:, 1000:-1000].mean(axis=1)
    assert power[1, 0] > 300 * power[1, 1]
    assert power[2, 1] > 300 * power[2, 0]
    assert power[0].max() < 1
    onset = np.argmax(np.abs(content[:, 0]) > 500) / rate_hz
    assert abs(onset - 1.0) < 0.005


def test_a_page_ends_at_least_every_second() -> None:
    encoder = OggOpusEncoder(8000)
    encoder.begin()
    rng = np.random.default_rng(1)
    sizes = [len(encoder.encode(rng.integers(-3000, 3000, (2000, 2), np.int16))) for _ in range(40)]
    written = [index for index, size in enumerate(sizes) if size]
    assert max(np.diff([-1, *written, len(sizes)])) <= 4  # quarters of a second: the first page has a whole one


def test_a_recording_of_nothing_is_a_file_that_opens() -> None:
    encoder = OggOpusEncoder(8000)
    content, _ = decoded(encoder.begin() + encoder.encode(np.zeros((0, 2), np.int16)) + encoder.finish())
    assert len(content) <= 6
