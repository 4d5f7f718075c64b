# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of a reply is rendered at once, given what is waiting to be heard."""

from agent.clauses import Clause, ClauseQueue, plain_clauses, plain_text
from agent.manner import Manner
from agent.services.tts import SpeechStyle

SENTENCES = "We open at nine. We close at five. On Sunday we rest. Parking is free. "


def filled(text: str, *, joins: bool = False, closed: bool = True) -> ClauseQueue:
    queue = ClauseQueue(joins=joins)
    queue.push(text)
    if closed:
        queue.close()
    return queue


def test_the_first_clause_is_given_at_once_and_alone() -> None:
    queue = filled("Sure, of course we are. " + SENTENCES, joins=True)
    first = queue.next(0.0)
    assert first is not None
    assert first.text == "Sure, of course we are."


def test_with_little_waiting_sentences_come_one_by_one() -> None:
    queue = filled(SENTENCES, joins=True)
    assert [clause.text for clause in (queue.next(0), queue.next(1_000)) if clause] == [
        "We open at nine.",
        "We close at five.",
    ]


def test_with_a_reserve_sentences_go_together_and_none_is_lost() -> None:
    queue = filled(SENTENCES, joins=True)
    queue.next(0)
    assert queue.next(2_000) == Clause("We close at five. On Sunday we rest. Parking is free.")
    assert queue.is_over


def test_more_sentences_are_waited_for_while_the_reserve_lasts() -> None:
    queue = filled("We open at nine. We close at five. On", joins=True, closed=False)
    queue.next(0)
    assert queue.next(3_000) is None
    assert queue.patience_s(3_000) == 1.5
    assert queue.next(1_400) == Clause("We close at five.")


def test_a_voice_that_gains_nothing_by_it_gets_sentences_one_by_one() -> None:
    queue = filled(SENTENCES)
    queue.next(0)
    assert queue.next(2_000) == Clause("We close at five.")


def test_what_is_rendered_already_is_left_alone() -> None:
    queue = ClauseQueue(joins=True, is_ready=lambda text: text == "On Sunday we rest.")
    queue.push(SENTENCES)
    queue.close()
    queue.next(0)
    assert [queue.next(2_000), queue.next(2_000)] == [Clause("We close at five."), Clause("On Sunday we rest.")]


def test_joined_sentences_have_a_bound() -> None:
    queue = filled("First. " + "This sentence has about forty characters. " * 20, joins=True)
    queue.next(0)
    lengths = []
    while (clause := queue.next(2_000)) is not None:
        lengths.append(len(clause.text))
    assert max(lengths) <= 240
    assert min(lengths[:-1]) > 150


def test_nothing_is_given_beyond_the_look_ahead() -> None:
    queue = filled(SENTENCES)
    assert queue.next(4_001) is None
    assert queue.patience_s(4_500) == 0.5
    assert queue.next(3_999) is not None


def test_a_voice_that_runs_out_gets_the_beginning_of_a_sentence() -> None:
    queue = filled("Yes. On Monday and Tuesday we are open until noon, and on all other", closed=False)
    assert queue.next(0) == Clause("Yes.")
    assert queue.next(600) is None
    assert queue.next(300) == Clause("On Monday and Tuesday we are open until noon,")
    queue.push(" days until five.")
    queue.close()
    assert queue.next(0) == Clause("and on all other days until five.")


def test_figures_are_not_cut_however_urgent_it_is() -> None:
    queue = filled("Yes. It costs $1,250.50 since March 14, 2026 for Dr. Lee", closed=False)
    queue.next(0)
    assert queue.next(0) is None


def test_a_change_of_manner_ends_a_clause() -> None:
    slow = Manner(SpeechStyle(rate=0.8))
    assert plain_clauses("Your code is <slow>four two</slow>. Thank you.") == [
        Clause("Your code is"),
        Clause("four two.", slow),
        Clause("Thank you."),
    ]


def test_a_pause_stands_before_what_follows_it() -> None:
    assert plain_clauses('One moment.<break time="500ms"/> Here it is.') == [
        Clause("One moment."),
        Clause("Here it is.", pause_ms=500),
    ]


def test_the_plain_text_has_no_markup() -> None:
    assert plain_text("Your <slow>code</slow> is <spell>AB</spell>.") == "Your code is AB."


def test_words_that_broke_off_leave_whole_clauses_only() -> None:
    queue = filled("We open at nine. We cl", closed=False)
    queue.break_off()
    assert queue.next(0) == Clause("We open at nine.")
    assert queue.is_over


def test_breaks_in_a_row_are_no_longer_than_the_longest() -> None:
    one, two = plain_clauses('Well.<break time="9999999s"/><break time="3s"/><break time="3s"/> Yes.')
    assert (one.text, two.text, two.pause_ms) == ("Well.", "Yes.", 3_000)
