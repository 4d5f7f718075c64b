# SPDX-License-Identifier: GPL-3.0-or-later
"""The E-model against published figures: ITU-T G.107's defaults and Annex B, G.113's tables, worked examples."""

import pytest

from media.emodel import Impairment, Path, Scale, mos, rating

NARROWBAND, WIDEBAND = Scale.NARROWBAND, Scale.WIDEBAND
G711 = Impairment(NARROWBAND, 0, 25.1)
G711_UNCONCEALED = Impairment(NARROWBAND, 0, 4.3)
G729A = Impairment(NARROWBAND, 11, 19)
GSM_EFR = Impairment(NARROWBAND, 5, 10)
AMR_WB_12_65 = Impairment(WIDEBAND, 13, 4.3)


def test_with_all_defaults_the_rating_is_93_2_and_the_score_4_41() -> None:
    r = rating(G711, Path())
    assert r == pytest.approx(93.2, abs=0.05)
    assert mos(r, NARROWBAND) == pytest.approx(4.41, abs=0.005)


@pytest.mark.parametrize(
    ("r", "score"), [(90, 4.34), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58), (0, 1), (100, 4.5)]
)
def test_ratings_become_scores_as_annex_b_has_them(r: float, score: float) -> None:
    assert mos(r, NARROWBAND) == pytest.approx(score, abs=0.008)


@pytest.mark.parametrize(
    ("codec", "loss_percent", "ie"),
    [(G729A, 2, 19), (G729A, 8, 36), (G729A, 16, 49), (GSM_EFR, 5, 33), (G711, 5, 15), (G711, 10, 25)],
)
def test_random_loss_costs_what_g113_tabulated(codec: Impairment, loss_percent: float, ie: float) -> None:
    """G.113 Appendix I (1999), Tables I.2 and I.3: the listening tests that the formula was fitted to."""
    cost = rating(Impairment(NARROWBAND, 0, 25.1), Path()) - rating(codec, Path(loss_percent=loss_percent))
    assert cost == pytest.approx(ie, abs=2.2)


def test_bursts_cost_more_than_random_loss() -> None:
    """2 % at BurstR 2 without concealment: 35.8 instead of 30.2."""
    whole = rating(G711_UNCONCEALED, Path())
    assert whole - rating(G711_UNCONCEALED, Path(2, 1)) == pytest.approx(30.2, abs=0.05)
    assert whole - rating(G711_UNCONCEALED, Path(2, 2)) == pytest.approx(35.8, abs=0.05)


@pytest.mark.parametrize(("codec", "r", "score"), [(G729A, 70.5, 3.62), (G711, 82.5, 4.12)])
def test_two_per_cent_loss_and_150_ms_together(codec: Impairment, r: float, score: float) -> None:
    found = rating(codec, Path(loss_percent=2, delay_ms=150))
    assert found == pytest.approx(r, abs=0.06)
    assert mos(found, NARROWBAND) == pytest.approx(score, abs=0.006)


def test_delay_costs_little_up_to_150_ms_and_much_beyond() -> None:
    costs = [rating(G711, Path()) - rating(G711, Path(delay_ms=delay_ms)) for delay_ms in (50, 150, 300, 500)]
    assert costs == sorted(costs)
    assert costs[1] < 4
    assert costs[2] > 15


def test_the_wideband_scale_reaches_from_129_to_the_same_best_score() -> None:
    clean = Impairment(WIDEBAND, 0, 4.9)
    assert rating(clean, Path()) == 129
    assert mos(129, WIDEBAND) == 4.5


def test_amr_wideband_without_loss_scores_as_published() -> None:
    """Ie,WB 13 at 12.65 kbit/s: R 116, which is 89.9 on the scale of Annex B."""
    assert rating(AMR_WB_12_65, Path()) == 116
    assert mos(116, WIDEBAND) == pytest.approx(mos(89.92, NARROWBAND), abs=0.001)


def test_plain_delay_of_300_ms_costs_14_8_before_the_wideband_scale_stretches_it() -> None:
    """By hand: X = log2 3 = 1.585; 25 * (16.85 ** (1/6) - 3 * 1.0217 ** (1/6) + 2) = 25 * (1.601 - 3.011 + 2)."""
    lost = rating(AMR_WB_12_65, Path()) - rating(AMR_WB_12_65, Path(delay_ms=300))
    assert lost / 1.29 == pytest.approx(14.76, abs=0.03)


def test_no_score_is_below_1_however_bad_the_line() -> None:
    assert mos(rating(G711_UNCONCEALED, Path(100, 1, 2000)), NARROWBAND) == 1
    assert min(mos(r / 10, NARROWBAND) for r in range(100)) == 1
    assert mos(rating(AMR_WB_12_65, Path(100, 1, 5000)), WIDEBAND) == 1
