# SPDX-License-Identifier: GPL-3.0-or-later
"""Markup in a language model's words is obeyed, never spoken, and costs no text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.manner import Manner
from agent.markup import INSTRUCTIONS, Break, Marked, MarkupReader, Words
from agent.services.tts import SpeechStyle


def read(*pieces: str) -> list[Marked]:
    reader = MarkupReader()
    marked = [mark for piece in pieces for mark in reader.push(piece)]
    return [*marked, *reader.flush()]


def text_of(marked: list[Marked]) -> str:
    return "".join(mark.text for mark in marked if isinstance(mark, Words))


def manners(text: str) -> list[tuple[str, Manner]]:
    return [(mark.text.strip(), mark.manner) for mark in read(text) if isinstance(mark, Words)]


def slow(rate: float = 0.8) -> Manner:
    return Manner(SpeechStyle(rate=rate))


def test_what_a_tag_encloses_is_said_in_its_manner_and_the_full_stop_stays_with_its_word() -> None:
    assert manners("It is <slow>ten to five</slow>. Come in.") == [
        ("It is", Manner()),
        ("ten to five.", slow()),
        ("Come in.", Manner()),
    ]


@pytest.mark.parametrize(
    ("tag", "style"),
    [
        ('<prosody rate="80%">', SpeechStyle(rate=0.8)),
        ('<prosody rate="-20%">', SpeechStyle(rate=0.8)),
        ("<prosody rate='slow' pitch='+2st'>", SpeechStyle(rate=0.8, pitch_semitones=2)),
        ("<prosody rate=1.5 volume=-3dB>", SpeechStyle(rate=1.5, volume_db=-3)),
        ('<prosody pitch="+12%">', SpeechStyle(pitch_semitones=2)),
        ('<prosody rate="900%" pitch="+99st" volume="+99dB">', SpeechStyle(2.0, 12, 6)),
        ('<prosody rate="nonsense">', SpeechStyle()),
        ('<emotion name="calm">', SpeechStyle(emotion="calm")),
        ("<emotion='calm'>", SpeechStyle()),
        ('<emotion value="happy">', SpeechStyle(emotion="cheerful")),
        ('<mstts:express-as style="empathetic">', SpeechStyle(emotion="empathetic")),
        ("<loud>", SpeechStyle(volume_db=3)),
        ("<SLOW>", SpeechStyle(rate=0.8)),
        ("<b>", SpeechStyle()),
    ],
)
def test_tags_and_what_they_make_of_the_voice(tag: str, style: SpeechStyle) -> None:
    assert read(f"{tag}word") == [Words("word", Manner(style))]


def test_tags_nest_and_an_emotion_stays_under_a_change_of_pace() -> None:
    style = SpeechStyle(rate=0.65, emotion="calm")
    marked = read('<emotion name="calm">so <slow><slow>slow </slow></slow>again</emotion>')
    assert Words("slow ", Manner(style)) in marked
    assert marked[-1] == Words("again", Manner(SpeechStyle(emotion="calm")))


def test_a_pause_is_as_long_as_it_says_and_never_longer_than_three_seconds() -> None:
    assert read('one<break time="400ms"/>two<break time="1.5s"/>') == [
        Words("one"),
        Break(400),
        Words("two"),
        Break(1500),
    ]
    assert read('<break/><break time="90s"><break strength="strong"/></break>') == [Break(300), Break(3000), Break(600)]


def test_a_code_can_be_spelled() -> None:
    assert read("<spell>AB12</spell>") == [Words("AB12", Manner(is_spelled=True))]
    assert read('<say-as interpret-as="characters">AB</say-as>') == [Words("AB", Manner(is_spelled=True))]


@pytest.mark.parametrize(
    "text",
    [
        "3 < 4 and 5 > 4",
        "if x<y or y>z",
        "I <3 you",
        "write to Lee <lee@example.com>, please",
        "<",
        "a <",
        "x <y and z",
        "AT&T & Sons",
        "& so on",
    ],
)
def test_what_only_looks_like_markup_stays(text: str) -> None:
    assert text_of(read(text)) == text


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("</slow>late", "late"),
        ("<slow>never closed", "never closed"),
        ("cut off <slo", "cut off <slo"),
        ("cut off <slow", "cut off "),
        ('cut off <break time="3', "cut off "),
        ("<slow><emotion name='calm'>crossed</slow> over</emotion>", "crossed over"),
        ("<slow foo bar=1 !>odd", "odd"),
        ("<p>a <i>b</i></p>", "a b"),
        ("<!-- hidden -->seen", "seen"),
        ("R&amp;D &lt;now&gt;", "R&D <now>"),
    ],
)
def test_malformed_markup_is_not_spoken_and_costs_no_words(text: str, left: str) -> None:
    assert text_of(read(text)) == left


def test_hundreds_of_open_tags_are_bounded() -> None:
    assert text_of(read("<slow>" * 500 + "words" + "</slow>" * 500)) == "words"


def test_a_sign_that_begins_nothing_is_not_waited_for_long() -> None:
    reader = MarkupReader()
    assert text_of(reader.push("x <y and z is what follows")) == "x <y and z is what follows"
    reader = MarkupReader()
    assert len(text_of(reader.push("<slow " + "a" * 500))) > 300


PIECES = st.sampled_from(
    [
        "<slow>",
        "</slow>",
        '<emotion name="calm">',
        "</emotion>",
        "<break/>",
        "word ",
        "two words. ",
        "3 < 4 ",
        "&amp;",
        "<x",
    ]
)


@given(st.lists(PIECES, max_size=12), st.data())
def test_how_the_text_is_cut_changes_nothing(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    parts = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    whole, cut = read(text), read(*parts)
    assert text_of(cut) == text_of(whole)
    words = [(mark.manner, word) for mark in whole if isinstance(mark, Words) for word in mark.text.split()]
    cut_words = [(mark.manner, sign) for mark in cut if isinstance(mark, Words) for sign in mark.text.replace(" ", "")]
    assert cut_words == [(manner, sign) for manner, word in words for sign in word]


@given(st.text(alphabet="<>/=\"'& abslow", max_size=60))
def test_anything_can_be_read_and_words_outside_signs_stay(text: str) -> None:
    left = text_of(read(*text))
    assert set(re.findall(r"\w", left)) <= set(re.findall(r"\w", text))
    if "<" not in text and "&" not in text:
        assert left == text


def test_the_instructions_name_tags_that_exist() -> None:
    for tag in re.findall(r"<(\w+)", INSTRUCTIONS):
        assert text_of(read(f"<{tag}>x")) == "x"
    assert "<slow>" in INSTRUCTIONS
