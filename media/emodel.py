# SPDX-License-Identifier: GPL-3.0-or-later
"""The E-model: from loss, delay and codec to a rating R and an estimated mean opinion score (MOS).

ITU-T G.107 (06/2015) for narrowband (R to 93.2) and G.107.1 (06/2019, with corrigendum 1) for wideband (R to 129).
Terminals and network are G.107's defaults; what a gateway knows of a call comes in as `Path`. The factors Ie and Bpl of
codecs are in `media.quality`. Equation numbers are those of the two recommendations.

Both are planning models fitted to listening tests: good for comparing calls and for alarms, not a measurement of one
call. Scores of the two scales are not comparable, so a score is always told with its scale.
"""

import math
from dataclasses import dataclass
from enum import Enum


class Scale(Enum):
    """Which model rated a call, and so what its score can be compared with."""

    NARROWBAND = "narrowband"
    WIDEBAND = "wideband"


@dataclass(frozen=True, slots=True)
class Impairment:
    """What a codec costs by itself and under loss, as ITU-T G.113 tabulates it."""

    scale: Scale
    ie: float
    """Equipment impairment factor without loss (Ie; Ie,WB on the wideband scale)."""
    bpl: float
    """Packet-loss robustness factor, of codec and concealment together."""


@dataclass(frozen=True, slots=True)
class Path:
    """One direction of a call, as far as its network is known."""

    loss_percent: float = 0.0
    """Of frames that had to be made up, so late packets count and recovered ones do not; 0 to 100."""
    burst_ratio: float = 1.0
    """Mean length of runs of lost frames by the mean length when loss is random (equation 7-30): 1 is random."""
    delay_ms: float = 0.0
    """One way, mouth to ear."""


def rating(impairment: Impairment, path: Path) -> float:
    """R, unbounded below: up to 93.2 narrowband (equation 7-1), up to 129 wideband (G.107.1 equation 7-1)."""
    if impairment.scale is Scale.WIDEBAND:
        return _RO_WIDEBAND - _wideband_delay(path.delay_ms) - _equipment(impairment, path.loss_percent, burst_ratio=1)
    loss = _equipment(impairment, path.loss_percent, path.burst_ratio)
    return _RO - _simultaneous(path.delay_ms) - _delay(path.delay_ms) - loss


def mos(r: float, scale: Scale) -> float:
    """The estimated mean opinion score, 1 to 4.5: G.107 Annex B, and G.107.1 Annex A, which scales R back first."""
    if scale is Scale.WIDEBAND:
        r /= 1.29
    if r <= 0:
        return 1.0
    if r >= 100:
        return 4.5
    # The cubic dips below 1 for ratings below 6.5.
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


# G.107 Table 2: default values. Levels in dB, dBm or dBm0p, the room's in dB(A).
_SLR, _RLR = 8.0, 2.0  # loudness ratings of sending and receiving
_STMR, _LSTR = 15.0, 18.0  # sidetone
_DS = 3.0  # telephone's D-value, sending side
_TELR, _WEPL = 65.0, 110.0  # talker and listener echo
_QDU = 1.0  # quantising distortion units
_NC, _NFOR = -70.0, -64.0  # circuit noise, noise floor
_PS, _PR = 35.0, 35.0  # room noise


def _power_sum(*levels_db: float) -> float:
    return 10 * math.log10(sum(10 ** (level / 10) for level in levels_db))


def _noise() -> float:
    """No: all noise referred to the 0 dBr point (equations 7-3 to 7-7)."""
    olr = _SLR + _RLR
    sending = _PS - _SLR - _DS - 100 + 0.004 * (_PS - olr - _DS - 14) ** 2
    heard = _PR + 10 * math.log10(1 + 10 ** ((10 - _LSTR) / 10))
    receiving = _RLR - 121 + heard + 0.008 * (heard - 35) ** 2
    return _power_sum(_NC, sending, receiving, _NFOR + _RLR)


_NO = _noise()
_RO = 15 - 1.5 * (_SLR + _NO)
"""Ro: signal to noise (equation 7-2), 94.77 by default."""
_RO_WIDEBAND = 129.0
"""Ro,WB (G.107.1 equation 7-2); Is,WB is 0 by default (7-3)."""


def _simultaneous(delay_ms: float) -> float:
    """Is: loudness, sidetone and quantising distortion (equations 7-8 to 7-17), 1.41 by default."""
    x = _SLR + _RLR + 0.2 * (64 + _NO - _RLR)
    loudness = 20 * (math.pow(1 + (x / 8) ** 8, 1 / 8) - x / 8)
    sidetone_db = -_power_sum(-_STMR, -_TELR - 10 * math.log10(math.e) * delay_ms / 4)
    sidetone = (
        12 * math.pow(1 + ((sidetone_db - 13) / 6) ** 8, 1 / 8)
        - 28 * math.pow(1 + ((sidetone_db + 1) / 19.4) ** 35, 1 / 35)
        - 13 * math.pow(1 + ((sidetone_db - 3) / 33) ** 13, 1 / 13)
        + 29
    )
    q = 37 - 15 * math.log10(_QDU)
    g = 1.07 + 0.258 * q + 0.0602 * q**2
    y, z = (_RO - 100) / 15 + 46 / 8.4 - g / 9, 46 / 30 - g / 40
    quantising = 15 * math.log10(1 + math.pow(10, y) + math.pow(10, z))
    return loudness + sidetone + quantising


def _delay(delay_ms: float) -> float:
    """Id: talker echo, listener echo and plain delay (equations 7-18 to 7-28), the round trip being twice one way."""
    echo_db = (
        _TELR - 40 * math.log10((1 + delay_ms / 10) / (1 + delay_ms / 150)) + 6 * math.exp(-0.3 * delay_ms**2)  # TERV
    )
    talker = (-1.5 * (_NO - _RLR) - (80 + 2.5 * (echo_db - 14))) / 2
    talker_echo = (talker + math.sqrt(talker**2 + 100) - 1) * (1 - math.exp(-delay_ms))
    listener = (_RO - 10.5 * (_WEPL + 7) * math.pow(2 * delay_ms + 1, -0.25)) / 2
    listener_echo = listener + math.sqrt(listener**2 + 169)
    return talker_echo + listener_echo + _plain_delay(delay_ms)


def _wideband_delay(delay_ms: float) -> float:
    """Id,WB without its echo terms: terminals that speak wideband cancel their echo, and say nothing of the rest.

    Plain delay is stretched with the scale, as G.107.2 does for its own: it then costs the same score as narrowband.
    """
    return 1.29 * _plain_delay(delay_ms)


def _plain_delay(delay_ms: float) -> float:
    """Idd (equations 7-27 and 7-28) at default delay sensitivity (sT 1, mT 100 ms)."""
    if delay_ms <= 100:
        return 0.0
    x = math.log2(delay_ms / 100)
    return 25 * (math.pow(1 + x**6, 1 / 6) - 3 * math.pow(1 + (x / 3) ** 6, 1 / 6) + 2)


def _equipment(impairment: Impairment, loss_percent: float, burst_ratio: float) -> float:
    """Ie,eff (equation 7-29; G.107.1 equation 7-15, which knows random loss only)."""
    return impairment.ie + (95 - impairment.ie) * loss_percent / (loss_percent / burst_ratio + impairment.bpl)
