# SPDX-License-Identifier: GPL-3.0-or-later
"""Work on the board: what is told of it, how often, and what remains of it."""

import pytest

from gateway.work import Work, WorkBoard, WorkFacts


class Told:
    """What a follower was told, and the board's clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.facts: list[WorkFacts] = []
        self.board = WorkBoard(lambda: self.now)
        self.board.follow(lambda work: self.facts.append(work.facts))

    @property
    def counts(self) -> list[tuple[int, int | None, str]]:
        return [(one.done, one.total, one.state) for one in self.facts]


def test_begin_and_end_are_told_at_once_and_between_them_no_more_than_twice_a_second() -> None:
    told = Told()
    work = told.board.begin("knowledge", "clerk", "passages")
    for done in range(100):
        told.now = done / 100
        work.update(done, 100)
    work.end()
    assert told.counts == [(0, None, "running"), (50, 100, "running"), (100, 100, "done")]


def test_what_does_not_change_is_not_told_again() -> None:
    told = Told()
    work = told.board.begin("knowledge", "clerk", "passages", 10)
    told.now = 5.0
    work.update(0)
    assert len(told.facts) == 1
    work.update(0, detail="prices.md")
    assert told.facts[-1].detail == "prices.md"


def test_what_is_over_stays_over() -> None:
    told = Told()
    work = told.board.begin("phrases", "clerk", "sentences", 3)
    work.fail("the voice is away")
    work.end()
    assert told.counts == [(0, 3, "running"), (0, 3, "failed")]
    assert told.board.listed() == [told.facts[-1]]
    assert told.board.running == ()


def test_an_exception_is_the_failure_of_the_work_around_it() -> None:
    told = Told()

    def fall() -> None:
        with told.board.working("campaign_list", "campaign_1", "bytes", 7):
            raise ValueError("no list")

    with pytest.raises(ValueError, match="no list"):
        fall()
    assert (told.facts[-1].state, told.facts[-1].detail) == ("failed", "no list")
    with told.board.working("campaign_list", "campaign_1", "bytes", 7):
        pass
    assert told.counts[-1] == (7, 7, "done")


def test_the_board_lists_what_runs_before_the_last_twenty_that_ended_each_the_newest_first() -> None:
    board = WorkBoard()
    works: list[Work] = [board.begin("campaign_list", str(number), "bytes") for number in range(30)]
    for work in works[2:]:
        work.end()
    listed = board.listed()
    assert [one.name for one in listed] == ["1", "0", *(str(number) for number in range(29, 9, -1))]
    assert len({one.id for one in listed}) == len(listed)
