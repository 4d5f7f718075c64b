# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a rendered clause can be heard by when."""

import numpy as np

from agent.audible import AudibleTime
from agent.conversation import SpokenClause

RATE_HZ = 8000


def sound(ms: int, level: int = 3_000) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.full(RATE_HZ * ms // 1000, level, np.int16)


def test_silence_does_not_count_wherever_the_pieces_end() -> None:
    audible = AudibleTime()
    for piece in (sound(500), sound(205, 0), sound(15, 20), sound(280)):
        audible.append(piece, RATE_HZ)
    assert audible.total == 780 * 8
    assert [audible.until(ms * 8) for ms in (0, 300, 600, 720, 1_000)] == [0, 2_400, 4_000, 4_000, 780 * 8]


def test_the_silence_at_the_end_is_known_however_it_was_written() -> None:
    audible = AudibleTime()
    tails = []
    for piece in (sound(100, 0), sound(50), sound(200, 0), sound(30, 5), sound(20), sound(40, 0)):
        audible.append(piece, RATE_HZ)
        tails.append(audible.silent_tail / 8)
    assert tails == [0, 0, 200, 230, 0, 40]


def test_a_pause_after_a_comma_holds_no_words() -> None:
    clause = SpokenClause(1, "first half of, second half of", RATE_HZ, is_whole=True)
    for piece in (sound(600), sound(800, 0), sound(600)):
        clause.wrote(piece)
    assert clause.written_samples == 16_000
    assert [clause.heard_words(ms * 8) for ms in (590, 700, 1_390, 2_000)] == [3, 3, 3, 6]


def test_a_number_takes_as_long_as_its_words() -> None:
    clause = SpokenClause(1, "it is $1,295 now", RATE_HZ, is_whole=True)
    clause.wrote(sound(2_000))
    assert clause.heard_words(800 * 8) == 2  # in the middle of "one thousand two hundred ninety five dollars"
    assert clause.heard_words(1_850 * 8) == 3


def test_a_clause_that_was_heard_to_its_end_was_heard_however_short_it_is() -> None:
    clause = SpokenClause(1, "No.", RATE_HZ, is_whole=True)
    clause.wrote(sound(60))
    assert [clause.heard_words(ms * 8) for ms in (40, 60)] == [0, 1]
