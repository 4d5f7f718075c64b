# SPDX-License-Identifier: GPL-3.0-or-later
"""How one direction of a call sounded, from what was counted: codec factors, loss as the ear meets it, score."""

from dataclasses import dataclass

from media.emodel import Impairment, Path, Scale, mos, rating

_G711 = Impairment(Scale.NARROWBAND, 0.0, 25.1)
"""ITU-T G.113 (09/2024) Appendix I: G.711 with concealment (Appendix I of G.711, or as good)."""
G711_UNCONCEALED = Impairment(Scale.NARROWBAND, 0.0, 4.3)
"""The same without: every lost packet is a hole. None of ours; here for comparison."""
_G722 = Impairment(Scale.WIDEBAND, 13.0, 4.3)
"""Ie,WB of G.722 at 64 kbit/s: G.113 Appendix IV, Table IV.1. It has no Bpl,WB: that of AMR-WB at 12.65 kbit/s (Table
IV.4) stands in, whose Ie,WB is the same 13."""
_L16_WIDEBAND = Impairment(Scale.WIDEBAND, 0.0, 4.9)
"""Uncompressed wideband is what the scale refers to, so Ie,WB is 0. Bpl,WB is not published for it: the highest that
is (4.9; they go from 4.3 to 4.9), as one lost packet harms no other."""
_OPUS = Impairment(Scale.WIDEBAND, 8.0, 4.9)
"""The ITU has published nothing for Opus: both factors are those of AMR-WB at 23.85 kbit/s, the best mode of the
nearest codec that has them (Tables IV.1 and IV.4). Our choice, and a careful one."""

_PACKET_MS = 20.0
"""What a sample waits at the sender until its packet is full."""


@dataclass(frozen=True, slots=True)
class Reception:
    """What one end counted of what came to it."""

    frames: int
    """That should have been heard."""
    lost: int
    """Of them, made up: neither came in time nor could be recovered."""
    gaps: int
    """Runs of lost frames; 0 when nobody counted them."""
    delay_ms: float
    """From the sender's socket to the listener's ear: network and waiting."""


@dataclass(frozen=True, slots=True)
class Score:
    """An estimate by the E-model; compare it only with scores of the same scale."""

    mos: float
    r: float
    scale: Scale


def impairment_of(codec: str, sample_rate_hz: int) -> Impairment:
    """The factors of a codec (`PCMU`, `PCMA`, `G722`, `L16`, `OPUS`) as its leg runs it."""
    if codec == "G722":
        return _G722
    if codec == "OPUS":
        return _OPUS
    return _G711 if sample_rate_hz <= 8000 else _L16_WIDEBAND


def score(codec: str, sample_rate_hz: int, reception: Reception) -> Score:
    """Rate one direction of a call."""
    impairment = impairment_of(codec, sample_rate_hz)
    path = Path(
        loss_percent=percent(reception.lost, reception.frames),
        burst_ratio=burst_ratio(reception),
        delay_ms=_PACKET_MS + reception.delay_ms,
    )
    r = rating(impairment, path)
    return Score(mos(r, impairment.scale), r, impairment.scale)


def burst_ratio(reception: Reception) -> float:
    """BurstR of ITU-T G.107: mean run of lost frames by that of random loss, 1 / (1 - loss). Never below 1."""
    kept = reception.frames - reception.lost
    if reception.gaps <= 0 or kept <= 0:
        return 1.0
    return max(1.0, reception.lost / reception.gaps * kept / reception.frames)


def percent(part: int, whole: int) -> float:
    """0 when there is nothing to have a part of; never beyond 0 to 100, whatever a peer reports."""
    return min(100.0, max(0.0, 100 * part / whole)) if whole > 0 else 0.0
