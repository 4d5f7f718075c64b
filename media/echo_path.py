# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of our own voice back to us: how late it comes, how loud, and whether what is heard is it.

    sent   ─┐ both at 8 kHz on one timeline (our clock, by `LineClock`), the newest two seconds
    heard  ─┴> search: cross-correlation over all delays (FFT) > coherence at the best one > delay, coupling per band
             > explains: is any band of this frame louder than the echo can be?

Two measures, because each is good where the other fails. Coherence (does the waveform of what is heard follow from what
was sent?) is certain, but needs some 100 ms of it: it finds the echo, and proves it. Band powers judge a single frame,
and neither a room, a codec nor a delay that wobbles troubles them; but all they can say is "not louder than our echo".
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len, rfft

from media.frames import PcmFrame
from media.level import FULL_SCALE, power_dbov
from media.line_clock import LineClock

RATE_HZ = 8000
"""Echo is looked for in the telephone band; wider audio is brought down to it."""
MAX_DELAY_MS = 520
"""The network twice, two jitter buffers, a hybrid or a room."""
Signal = NDArray[np.float32]

_MAX_LAG = MAX_DELAY_MS * RATE_HZ // 1000
_HISTORY = 2 * RATE_HZ
_HANG_S = MAX_DELAY_MS / 1000 + 0.2
"""So long after we fell silent our voice may still come in: a room rings on."""
_SHIFT_TOLERANCE = RATE_HZ * 30 // 1000
"""The two directions are set against each other anew when their clocks disagree with the old setting by more."""
_AUDIBLE = 10.0 ** (-55.0 / 10.0)
"""Of what is sent: the echo of anything below is lost in every line's noise."""

_FFT = 128
_HOP = 80
_BAND_EDGES_HZ = (250, 500, 750, 1062, 1437, 1937, 2625, 3500)
"""Narrow enough that a voice shows between our harmonics, wide enough for a window of 16 ms."""
_BEFORE, _AFTER = 3, 2
_AROUND = _BEFORE + _AFTER
"""Hops of what was sent that may sound in one hop of the echo: windows overlap, and delays wobble by a frame."""
_DECAY = np.float32(0.5)
"""Of an echo's power in 20 ms, when nothing more is sent: a room that takes 400 ms for 60 dB."""
_MARGIN = np.float32(10.0 ** (6.0 / 10.0))
"""A band this much above the expected echo is somebody else's."""
_UNEXPLAINED = 0.5
"""Share of a frame's power that must be somebody else's."""
_FADE = np.float32(0.98)
"""Factor per 20 ms on the coupling of a band whose echo stays away. It grows only on proof: what a caller says softly
over our voice must not become the echo that we expect."""
_AWAY = np.float32(0.25)
"""Of the expected echo: with less, it stays away."""
_ZERO, _ONE = np.float32(0.0), np.float32(1.0)

_WHITENING = 0.8
"""1 makes all frequencies equal: the sharpest peak, but for a muffled echo mostly of noise."""
_SEARCH_HZ = (200, 3500)
_SEGMENT_HOP = 32
_FOUND = 0.5
"""Evidence (`_evidence`) that proves an echo at the best of all delays. Two voices that talk at once reach 0.49 (99.7 %
of windows of 120 to 512 ms, also when both are the same voice); a wire has 0.6 after 120 ms, a room 0.4 after 512."""
_SUSPICIOUS = 0.25
"""One in twenty of those windows has more."""
_CONFIRMED = 0.22
"""Evidence at the delay that is known, which chance cannot choose: 99.5 % of such windows have less."""
_ABSENT = 0.1
"""Evidence at the known delay: a room's echo has less in one of thirty windows, another voice in nine of ten."""
_MOSTLY = 0.6
"""Of this line's usual coherence, what is heard has so much when it is our echo, and less when somebody talks too."""
_FORGET = 0.98
"""Factor on the usual coherence for every search that found less: a handset may have become a speakerphone."""
_SAME_LAG = 16
_NEAR = 64
"""Samples: a room's strongest reflection is now this one, now that one."""
_AGAIN = 0.2
_EVIDENCE_SAMPLES = RATE_HZ * 128 // 1000
_PROVEN = 2
"""Findings, one after another, before bands alone may decide: the first may have been chance."""
_TRUST = 4
"""Confirmations that count at most, against as many searches which did not find what bands explained."""


@dataclass(frozen=True, slots=True)
class EchoFinding:
    """What a search said of the newest audio."""

    delay_samples: int
    """The best delay, at 8 kHz."""
    coherence: float
    """Share of the heard power that follows from what was sent, 0 to 1."""
    is_echo: bool
    """It proves that what is heard is mostly our own voice."""
    is_suspicious: bool
    """It does not, but more audio may."""
    is_absent: bool = False
    """The echo that is known is not there: what is heard is loud enough for it, and something else."""


class EchoPath:
    """One call's echo path."""

    def __init__(self) -> None:
        self._sent = _Track()
        self._heard = _Track()
        self._sent_clock = LineClock()
        self._heard_clock = LineClock()
        self._shift: int | None = None
        """From positions of the uplink to those of what was sent, at 8 kHz."""
        self._audible_at = -_HANG_S
        self._frame_samples = 0
        self._bands = _Bands()
        self._candidate = (-_HISTORY, 0, 0.0)
        """Delay, when it was last found, and the evidence for it so far."""
        self._trust = 0
        self._usual_coherence = 0.0
        self.delay_samples: int | None = None
        """At 8 kHz; None while no echo was proven."""

    @property
    def delay_ms(self) -> float | None:
        """None while no echo was proven."""
        return None if self.delay_samples is None else self.delay_samples * 1000 / RATE_HZ

    @property
    def loss_db(self) -> float | None:
        """How much quieter than sent our voice comes back; None while no echo was proven."""
        return None if self.delay_samples is None else -power_dbov(self._bands.mean_coupling)

    def receive_sent(self, frame: PcmFrame) -> None:
        """What went out. Silence costs a comparison."""
        if frame.pcm == bytes(len(frame.pcm)):
            return
        samples = _narrow(frame)
        start = frame.position_samples * RATE_HZ // frame.sample_rate_hz
        self._sent_clock.receive((start + len(samples)) / RATE_HZ, frame.arrived_at)
        self._sent.write(start, samples)
        if power(samples) > _AUDIBLE:
            self._audible_at = frame.arrived_at

    def may_carry_echo(self, frame: PcmFrame) -> bool:
        """Whether anything was sent so recently that this frame of the uplink may be its echo."""
        return frame.arrived_at < self._audible_at + _HANG_S

    def receive_heard(self, frame: PcmFrame) -> float:
        """Take a frame of the uplink; returns its mean square, full scale being 1."""
        samples = _narrow(frame)
        start = frame.position_samples * RATE_HZ // frame.sample_rate_hz
        self._heard_clock.receive((start + len(samples)) / RATE_HZ, frame.arrived_at)
        wanted = round((self._heard_clock.spoken_at(0.0) - self._sent_clock.spoken_at(0.0)) * RATE_HZ)
        if self._shift is None:
            self._shift = wanted
        elif abs(wanted - self._shift) > _SHIFT_TOLERANCE:
            if self.delay_samples is not None:
                self.delay_samples = max(0, self.delay_samples + wanted - self._shift)
            self._shift = wanted
        self._heard.write(start + self._shift, samples, gaps=False)
        self._frame_samples = len(samples)
        return power(samples)

    def explains(self) -> bool:
        """Whether the newest frame is no louder, in the bands that count, than our echo is known to be."""
        if self.delay_samples is None:
            return False
        hops = max(2, self._frame_samples // _HOP)
        end = self._heard.end
        start = end - _FFT - (hops - 1) * _HOP
        heard = self._heard.read(start, end - start)
        sent_start = start - self.delay_samples - _BEFORE * _HOP
        sent = self._sent.read(sent_start, (hops + _AROUND - 1) * _HOP + _FFT)
        return self._bands.explain(heard, sent) and self.is_proven

    def search(self, samples: int) -> EchoFinding | None:
        """Look for our voice in the newest `samples` (8 kHz) of the uplink; None when there is nothing to compare."""
        samples = min(samples, self._heard.end - self._heard.since)
        if samples < 2 * _FFT:
            return None
        begin = self._heard.end - samples
        heard = self._heard.read(begin, samples)
        sent = self._sent.read(begin - _MAX_LAG, samples + _MAX_LAG)
        if power(sent) < _AUDIBLE or not heard.any():
            return None
        is_absent = False
        if self.delay_samples is not None:
            known = sent[_MAX_LAG - self.delay_samples :][:samples]
            share = coherence(known, heard)
            evidence = _evidence(share, heard)
            if evidence >= _CONFIRMED:
                return self._confirm(share, known, heard)
            is_absent = evidence < _ABSENT and self._bands.could_be(known, heard)
        delay = _best_delay(sent, heard)
        delayed = sent[_MAX_LAG - delay :][:samples]
        share = coherence(delayed, heard)
        evidence = _evidence(share, heard)
        if evidence >= _FOUND or self._weigh(delay, evidence, samples):
            is_same = self.delay_samples is not None and abs(delay - self.delay_samples) <= _NEAR
            self._trust = min(_TRUST, self._trust + 1) if is_same else 1
            self.delay_samples, self._usual_coherence = delay, share
            self._bands.learn(delayed, heard)
            return EchoFinding(delay, share, True, True)
        return EchoFinding(delay, share, False, evidence >= _SUSPICIOUS, is_absent)

    def _confirm(self, share: float, sent: Signal, heard: Signal) -> EchoFinding:
        assert self.delay_samples is not None
        is_echo = share >= self._usual_coherence * _MOSTLY
        if is_echo:
            self._trust = min(_TRUST, self._trust + 1)
            self._usual_coherence += (share - self._usual_coherence) / 4
            self._bands.learn(sent, heard)
        else:
            self._usual_coherence *= _FORGET
        return EchoFinding(self.delay_samples, share, is_echo, is_suspicious=False)

    @property
    def is_proven(self) -> bool:
        """Whether the echo was found more than once: the first time may have been chance."""
        return self._trust >= _PROVEN

    @property
    def is_trusted(self) -> bool:
        """Whether the echo was confirmed again and again."""
        return self._trust >= _TRUST

    def doubt(self) -> None:
        """What bands explained was absent, or another voice: after several times there is no such echo (any more)."""
        self._trust -= 1
        if self._trust < 0:
            self.delay_samples, self._trust = None, 0
            self._bands = _Bands()

    def _weigh(self, delay: int, evidence: float, samples: int) -> bool:
        """A room's echo is hardly ever that coherent: then the same delay again is the proof."""
        before, found_at, gathered = self._candidate
        now = self._heard.end
        if evidence < _AGAIN:
            return False
        if abs(delay - before) > _SAME_LAG:
            self._candidate = (delay, now, evidence)
            return False
        if now - found_at < samples:  # much of the same audio
            return False
        self._candidate = (delay, now, gathered + evidence)
        return gathered + evidence >= _FOUND


class _Bands:
    """How loud our echo can be, band by band."""

    def __init__(self) -> None:
        count = len(_BAND_EDGES_HZ) - 1
        self._coupling = np.zeros(count, np.float32)
        self._ringing = np.zeros(count, np.float32)
        self._is_known = False
        self._windows = self._resized(2)

    @property
    def mean_coupling(self) -> float:
        return float(self._coupling.mean())

    def explain(self, heard: Signal, sent: Signal) -> bool:
        """`heard` is a frame with what its first window needs, `sent` the same at the echo's delay and a bit around."""
        hops = (len(heard) - _FFT) // _HOP + 1
        windows = self._windows if len(self._windows) == hops + _AROUND + hops else self._resized(hops)
        heard.take(_window_indices(hops, _HOP), out=windows[:hops], mode="clip")
        sent.take(_window_indices(hops + _AROUND, _HOP), out=windows[hops:], mode="clip")
        powers = _band_powers(windows)
        is_heard = np.add.reduce(powers[:hops]) / np.float32(hops)
        expected = self._coupling * np.maximum.reduce(powers[hops:])
        self._ringing *= _DECAY
        np.maximum(self._ringing, expected, out=self._ringing)
        excess = is_heard - self._ringing * _MARGIN
        np.maximum(excess, _ZERO, out=excess)
        explained = float(excess.sum()) <= float(is_heard.sum()) * _UNEXPLAINED
        if explained:
            self._coupling *= np.where(is_heard < expected * _AWAY, _FADE, _ONE)
        return explained

    def _resized(self, hops: int) -> Signal:
        """Room for the windows of a frame; frames hardly ever change their length."""
        self._windows = np.zeros((hops + hops + _AROUND, _FFT), np.float32)
        return self._windows

    def could_be(self, sent: Signal, heard: Signal) -> bool:
        """Whether what is heard is about as loud as the echo of what was sent would be."""
        is_heard = float(_band_powers(_windows(heard)).sum())
        expected = float((_band_powers(_windows(sent)) * self._coupling).sum())
        return is_heard > expected * float(_AWAY)

    def learn(self, sent: Signal, heard: Signal) -> None:
        """What is heard is mostly the echo of what was sent: that is how loud it is."""
        is_heard = _band_powers(_windows(heard)).sum(axis=0)
        was_sent = _band_powers(_windows(sent)).sum(axis=0)
        coupling = is_heard / (was_sent + np.float32(1.0))
        self._coupling = (self._coupling + coupling) / 2 if self._is_known else coupling
        self._is_known = True


class _Track:
    """The newest two seconds of a signal, by position. Before and after it there is silence."""

    def __init__(self) -> None:
        self._samples = np.zeros(2 * _HISTORY, np.float32)
        self._fill = _HISTORY
        self.since = 0
        """The first position since when it is without a gap."""
        self.end = 0

    def write(self, start: int, samples: Signal, *, gaps: bool = True) -> None:
        """Append; `gaps`: what is missing in between was silence. Otherwise, or far away, the track begins anew."""
        missing = start - self.end
        if missing < 0 or missing > (_HISTORY - len(samples) if gaps else 0):
            self._samples[:] = 0.0
            self._fill, self.since, self.end = _HISTORY, start, start
            missing = 0
        count = missing + len(samples)
        if self._fill + count > len(self._samples):
            self._samples[:_HISTORY] = self._samples[self._fill - _HISTORY : self._fill]
            self._fill = _HISTORY
        self._samples[self._fill : self._fill + missing] = 0.0
        self._samples[self._fill + missing : self._fill + count] = samples
        self._fill += count
        self.end = start + len(samples)

    def read(self, start: int, count: int) -> Signal:
        """Samples from `start` on; only the newest two seconds are there."""
        first = self._fill - (self.end - start)
        last = first + count
        if first >= 0 and last <= self._fill:
            return self._samples[first:last]
        samples = np.zeros(count, np.float32)
        inside_from, inside_to = max(first, 0), min(last, self._fill)
        if inside_from < inside_to:
            samples[inside_from - first : inside_to - first] = self._samples[inside_from:inside_to]
        return samples


def power(samples: Signal) -> float:
    """Mean square, full scale being 1."""
    return float(samples.dot(samples)) / (len(samples) * FULL_SCALE**2) if len(samples) else 0.0


def coherence(sent: Signal, heard: Signal) -> float:
    """Share of the power of `heard` that follows linearly from `sent`, both of one length, in the telephone band.

    Welch's averaged cross spectrum over windows of 16 ms: a response longer than that (a room) counts in part.
    """
    first, last = (round(hertz * _FFT / RATE_HZ) for hertz in _SEARCH_HZ)
    both = np.concatenate((_windows(sent, _SEGMENT_HOP), _windows(heard, _SEGMENT_HOP)))
    spectra = rfft(both * _hann(), axis=1)[:, first:last]
    half = len(spectra) // 2
    ours, theirs = spectra[:half], spectra[half:]
    cross = (ours.conj() * theirs).sum(axis=0)
    ours_power = (ours.real**2 + ours.imag**2).sum(axis=0) + 1.0
    theirs_power = float((theirs.real**2 + theirs.imag**2).sum()) + 1.0
    return float(((cross.real**2 + cross.imag**2) / ours_power).sum()) / theirs_power


def _evidence(share: float, heard: Signal) -> float:
    """What a coherence is worth, 1 for all of 128 ms: chance is coherent too, and the less there is to hear the more.

    It counts as long as the power is spread: of a window with one syllable in it, that syllable."""
    blocks = heard[: len(heard) // _FFT * _FFT].reshape(-1, _FFT)
    powers = np.einsum("ij,ij->i", blocks, blocks)
    spread = _FFT * float(powers.sum()) ** 2 / (float(powers.dot(powers)) + 1.0)
    return share * float(np.sqrt(spread / _EVIDENCE_SAMPLES))


def _best_delay(sent: Signal, heard: Signal) -> int:
    """The delay at which `heard` is most like `sent`, which begins `_MAX_LAG` samples earlier."""
    size = next_fast_len(len(sent), real=True)
    ours, theirs = rfft(sent, size), rfft(heard, size)
    cross = ours * theirs.conj()
    first, last = (hertz * size // RATE_HZ for hertz in _SEARCH_HZ)
    cross[:first] = 0.0
    cross[last:] = 0.0
    magnitude = np.abs(cross[first:last])
    cross[first:last] /= (magnitude + magnitude.mean() * np.float32(1e-3)) ** np.float32(_WHITENING)
    likeness = np.abs(irfft(cross, size)[: _MAX_LAG + 1])
    return _MAX_LAG - int(np.argmax(likeness))


def _windows(samples: Signal, hop: int = _HOP) -> Signal:
    """All whole windows, shape (n, `_FFT`). By index: numpy's sliding views cost three times as much to make."""
    windows: Signal = samples.take(_window_indices((len(samples) - _FFT) // hop + 1, hop))
    return windows


@lru_cache(maxsize=64)
def _window_indices(count: int, hop: int) -> NDArray[np.intp]:
    return np.arange(count)[:, None] * hop + np.arange(_FFT)


def _band_powers(windows: Signal) -> Signal:
    spectra = rfft(windows * _hann(), axis=1)
    powers: Signal = (spectra.real**2 + spectra.imag**2) @ _band_matrix()
    return powers


@lru_cache(maxsize=1)
def _hann() -> Signal:
    return np.hanning(_FFT + 2)[1:-1].astype(np.float32)


@lru_cache(maxsize=1)
def _band_matrix() -> Signal:
    """Shape (bins, bands), ones where a bin belongs to a band."""
    matrix = np.zeros((_FFT // 2 + 1, len(_BAND_EDGES_HZ) - 1), np.float32)
    edges = [round(hertz * _FFT / RATE_HZ) for hertz in _BAND_EDGES_HZ]
    for band, (low, high) in enumerate(pairwise(edges)):
        matrix[low:high, band] = 1.0
    return matrix


def _narrow(frame: PcmFrame) -> Signal:
    """At 8 kHz, by the mean of neighbours: what folds over is the same in both directions."""
    samples = frame.samples.astype(np.float32)
    factor = frame.sample_rate_hz // RATE_HZ
    if factor == 1:
        return samples
    narrow: Signal = samples[: len(samples) // factor * factor].reshape(-1, factor).mean(axis=1)
    return narrow
