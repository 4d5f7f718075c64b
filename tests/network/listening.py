# SPDX-License-Identifier: GPL-3.0-or-later
"""What a call's two ends tell when laid side by side: delay, share made up, and where each sentence is."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate

from tests.network.bundle import Hearing

_PACKET_S = 0.02
_SEARCH_S = 0.6
"""How far a piece may be from where the last one's offset puts it."""
_QUIET = 100.0
"""Mean magnitude of a frame that says nothing of where it belongs."""
_LIKENESS = {"PCMU": 0.98, "PCMA": 0.98, "L16": 0.999}
_LOSSY_LIKENESS = 0.9
"""Cosine above which a frame is taken for the one it should be."""


@dataclass(frozen=True, slots=True)
class Delays:
    """From a packet's delivery at the gateway's socket to its sound in Python, of what was not made up."""

    added_ms: NDArray[np.float64]
    """One for each frame that could be told from all others, in order of arrival."""
    at_s: NDArray[np.float64]
    """When each was heard, from the first frame."""

    def percentile(self, percent: float) -> float:
        return float(np.percentile(self.added_ms, percent)) if len(self.added_ms) else float("nan")


def delays(hearing: Hearing) -> Delays:
    """A frame belongs to the packet with its middle sample. Silence, which looks alike everywhere, is left out."""
    delivered = _delivered(hearing)
    rate_hz, likeness = hearing.sample_rate_hz, _LIKENESS.get(hearing.codec, _LOSSY_LIKENESS)
    sent, heard = hearing.sent.astype(np.float32), hearing.heard.astype(np.float32)
    packet_samples = round(_PACKET_S * rate_hz)
    offset = whole_offset(hearing)
    added, times = [], []
    ends = np.cumsum(hearing.frame_samples)
    for at, end, samples, concealed in zip(
        hearing.frame_at, ends, hearing.frame_samples, hearing.concealed, strict=True
    ):
        frame = heard[end - samples : end]
        if concealed or np.abs(frame).mean() < _QUIET:
            continue
        begin = end - samples - offset
        if _likeness(frame, sent[max(0, begin) : begin + samples]) < likeness:
            begin = find(hearing, frame, begin)
            if _likeness(frame, sent[begin : begin + samples]) < likeness:
                continue  # a splice, or too much like something else
            offset = end - samples - begin
        delivered_at = delivered.get((begin + samples // 2) // packet_samples)
        if delivered_at is not None:
            added.append((at - delivered_at) * 1000)
            times.append(at - hearing.frame_at[0])
    return Delays(np.array(added), np.array(times))


def _delivered(hearing: Hearing) -> dict[int, float]:
    """When each frame of `sent`, by its number, first reached the gateway's socket."""
    if not hearing.packets:
        return {}
    came_at, delivered_at, sequence = (np.array(column) for column in zip(*hearing.packets, strict=True))
    order = np.argsort(came_at, kind="stable")
    came_at, delivered_at = came_at[order], delivered_at[order]
    numbers = np.unwrap(sequence[order].astype(np.float64), period=65536)
    # The relay gets a packet when it is sent, which tells what frame the first one was.
    first = round(float(np.median((came_at - hearing.sent_at) / _PACKET_S - (numbers - numbers[0]))))
    frames = (numbers - numbers[0]).astype(int) + first
    times: dict[int, float] = {}
    for frame, at in zip(frames.tolist(), delivered_at.tolist(), strict=True):
        times[frame] = min(at, times.get(frame, at))
    return times


def _likeness(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """The cosine between two pieces of sound."""
    if len(one) != len(other):
        return 0.0
    return float(np.dot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other) + 1e-9))


def concealed_share(hearing: Hearing) -> float:
    """Of the frames from the first to the last that was not made up: the waits at both ends are no loss."""
    heard = np.flatnonzero(~hearing.concealed)
    if len(heard) == 0:
        return 1.0
    return float(hearing.concealed[heard[0] : heard[-1] + 1].mean())


def longest_silence_ms(hearing: Hearing) -> float:
    """The longest time that Python got no frame at all."""
    return float(np.diff(hearing.frame_at).max() * 1000)


def longest_gap_ms(hearing: Hearing) -> float:
    """The longest run of frames that were made up, between the first and the last that were not."""
    heard = np.flatnonzero(~hearing.concealed)
    if len(heard) == 0:
        return float("inf")
    inside = slice(heard[0], heard[-1] + 1)
    durations = hearing.frame_samples[inside] / hearing.sample_rate_hz * 1000
    runs = itertools.groupby(zip(hearing.concealed[inside], durations, strict=True), key=lambda frame: bool(frame[0]))
    return max((sum(duration for _, duration in run) for concealed, run in runs if concealed), default=0.0)


def whole_offset(hearing: Hearing) -> int:
    """By how many samples what was heard lags what was sent, on the whole; negative when listening began later."""
    lags = correlate(hearing.heard.astype(np.float32), hearing.sent.astype(np.float32), mode="full", method="fft")
    return int(np.argmax(lags)) - (len(hearing.sent) - 1)


def find(hearing: Hearing, piece: NDArray[np.float32], near: int) -> int:
    """Where in `sent` a piece of what was heard begins: near `near`, by correlation."""
    low = max(0, near - round(_SEARCH_S * hearing.sample_rate_hz))
    high = near + len(piece) + round(_SEARCH_S * hearing.sample_rate_hz)
    return low + _best(hearing.sent[low:high].astype(np.float32), piece)


def heard_at(hearing: Hearing, begin: int, end: int, offset: int) -> int:
    """Where in `heard` the samples `begin` to `end` of `sent` begin: near `offset` from there, by correlation."""
    margin = round(_SEARCH_S * hearing.sample_rate_hz)
    low, high = max(0, begin + offset - margin), end + offset + margin
    return low + _best(hearing.heard[low:high].astype(np.float32), hearing.sent[begin:end].astype(np.float32))


def _best(window: NDArray[np.float32], piece: NDArray[np.float32]) -> int:
    """The place in the window that is most like the piece."""
    if len(window) < len(piece):
        return 0
    products = correlate(window, piece, mode="valid", method="fft")
    energy = np.concatenate(([0.0], np.cumsum(window.astype(np.float64) ** 2)))
    norms = np.sqrt(np.maximum(energy[len(piece) :] - energy[: -len(piece)], 1.0))
    return int(np.argmax(products / norms))
