# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import pytest

from agent.errors import KnowledgeError
from agent.local.engines import OfflineEngines
from agent.local.knowledge import DEFAULT_FOLDER, THRESHOLD, Knowledge, read_knowledge

PAGE = """\
# The bakery

## When do you open?
- Q: what time do you open
- Q: are you open on sunday

We open at 6 am.
On Sunday we are **closed**.

## Our bread
It is baked at night. It is made of rye.

## Delivery?
* Yes, we deliver.
"""


def write(folder: Path, text: str, name: str = "page.md") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_headings_become_entries_with_their_phrasings_and_answers(tmp_path: Path) -> None:
    write(tmp_path, PAGE)
    opening, bread, delivery = read_knowledge(tmp_path)
    assert opening.heading == "When do you open?"
    assert opening.phrasings == ("what time do you open", "are you open on sunday")
    assert opening.answer == "We open at 6 am. On Sunday we are **closed**."
    assert opening.source == "page.md:3"
    assert bread.answer == "It is baked at night. It is made of rye."
    assert delivery.answer == "Yes, we deliver."


def test_a_plain_section_is_answered_with_as_many_sentences_as_one_can_listen_to(tmp_path: Path) -> None:
    sentence = "This sentence has exactly fifty letters and blanks."
    write(tmp_path, f"## Our history\n{' '.join([sentence] * 20)}\n## And then?\n{' '.join([sentence] * 20)}\n")
    plain, question = read_knowledge(tmp_path)
    assert plain.answer == " ".join([sentence] * 5)
    assert question.answer == " ".join([sentence] * 20)


def test_files_of_subfolders_count_and_other_files_do_not(tmp_path: Path) -> None:
    write(tmp_path, "# A\nOne.", "a.md")
    write(tmp_path, "# B\nTwo.", "deeper/b.md")
    write(tmp_path, "no heading at all", "notes.txt")
    assert [entry.answer for entry in read_knowledge(tmp_path)] == ["One.", "Two."]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", r"page\.md:1: no heading with a text below it"),
        ("# Only a title\n", r"page\.md:1: no heading with a text below it"),
        ("Words before anything.\n", r"page\.md:1: text before the first heading"),
        ("# A\n\n## When?\n\n## Where?\nHere.\n", r"page\.md:3: no answer below the heading 'When\?'"),
        ("# A\n## When?\n- Q:\nNow.\n", r"page\.md:3: '- Q:' without a question"),
        ("# A\n## \nNow.\n", r"page\.md:2: a heading without words"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_the_line(tmp_path: Path, text: str, complaint: str) -> None:
    write(tmp_path, text)
    with pytest.raises(KnowledgeError, match=complaint):
        read_knowledge(tmp_path)


def test_a_file_in_another_encoding_is_named_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_bytes("# A\nfine\ncaf\xe9\n".encode("latin-1"))
    with pytest.raises(KnowledgeError, match=r"page\.md:3: not UTF-8"):
        read_knowledge(tmp_path)


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "# A\n" + "word " * 300_000)
    with pytest.raises(KnowledgeError, match="larger than 1 MiB"):
        read_knowledge(tmp_path)


def test_a_folder_without_knowledge_is_named(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="has no Markdown file"):
        read_knowledge(tmp_path)
    with pytest.raises(KnowledgeError, match="does not exist"):
        read_knowledge(tmp_path / "nowhere")


@pytest.fixture(scope="module")
def knowledge(engines: OfflineEngines) -> Knowledge:
    return Knowledge(read_knowledge(DEFAULT_FOLDER), engines.embedder, engines.pool)


# No phrasing of the default knowledge; written before its first measurement, not tuned after it.
PARAPHRASES = [
    ("When are you open?", "what time can i come on saturday"),
    ("When are you open?", "are you still open at six in the evening"),
    ("When are you open?", "which days are you open"),
    ("When are you open?", "are you open on holidays"),
    ("Where are you?", "tell me where you are located"),
    ("Where are you?", "what's the street address"),
    ("Where can I park?", "can i park there"),
    ("Where can I park?", "how much is parking"),
    ("How do I book an appointment?", "i want an appointment tomorrow morning"),
    ("How do I book an appointment?", "how can i get an appointment"),
    ("How do I book an appointment?", "please schedule me a cleaning"),
    ("How do I cancel or move my appointment?", "something came up and i can't come on thursday"),
    ("How do I cancel or move my appointment?", "i'd like to postpone my visit"),
    ("Do you take new patients?", "i just moved here and i'm looking for a dentist"),
    ("Do you see children?", "is my two year old too young"),
    ("Do you see children?", "do you have a kids dentist"),
    ("How much is a cleaning?", "how much would a cleaning be"),
    ("Do you whiten teeth?", "my teeth are yellow can you do something"),
    ("Which insurance do you take?", "do you accept delta dental"),
    ("Which insurance do you take?", "i have blue cross"),
    ("How can I pay?", "do you take american express"),
    ("How can I pay?", "can i pay by check"),
    ("What do I do in an emergency?", "my face is swollen and it really hurts"),
    ("What do I do in an emergency?", "what's your emergency number"),
    ("Do you do other treatments?", "how much do braces cost"),
    ("Do you do other treatments?", "can you do an implant"),
    ("Are you a robot?", "am i talking to a robot"),
    ("What can you do?", "what are you able to do"),
    ("Who are you?", "what's your name"),
    ("Is the building accessible by wheelchair?", "is there an elevator"),
]
FROM_ELSEWHERE = [
    "what's your favorite color",
    "do you know a good joke",
    "i'd like two cheeseburgers",
    "how do i get to the airport",
    "is the post office open",
    "where can i buy stamps",
    "my car won't start",
    "how many people live in china",
    "translate hello into french",
    "do you like music",
    "when was the moon landing",
    "can you call me a taxi",
    "set an alarm for seven",
    "how do i bake a cake",
    "who wrote hamlet",
    "what channel is the game on",
    "i want a refund for my phone",
    "do you deliver",
    "i lost my wallet",
    "how much is a flight to miami",
    "what did you have for breakfast",
    "my dog is sick",
    "where can i get a haircut",
    "open the garage door",
]


async def test_of_thirty_paraphrases_most_find_their_answer(knowledge: Knowledge) -> None:
    matches = await knowledge.search(*(question for _, question in PARAPHRASES))
    right = sum(
        match.entry.heading == heading and match.score >= THRESHOLD
        for match, (heading, _) in zip(matches, PARAPHRASES, strict=True)
    )
    assert right >= 23


async def test_hardly_any_question_from_elsewhere_is_answered(knowledge: Knowledge) -> None:
    matches = await knowledge.search(*FROM_ELSEWHERE)
    assert sum(match.score >= THRESHOLD for match in matches) <= 4


async def test_a_phrasing_finds_its_entry_with_certainty(knowledge: Knowledge) -> None:
    for entry in knowledge.entries:
        for phrasing in entry.phrasings:
            (match,) = await knowledge.search(phrasing)
            assert match.entry is entry, phrasing
            assert match.score > 0.99


def test_the_default_knowledge_can_be_told_on_the_telephone() -> None:
    for entry in read_knowledge(DEFAULT_FOLDER):
        assert len(entry.answer) < 200, entry.source
        assert len(entry.phrasings) >= 2, entry.source
