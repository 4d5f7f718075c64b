# SPDX-License-Identifier: GPL-3.0-or-later
from pathlib import Path

import pytest

from agent.errors import KnowledgeError
from agent.knowledge.reading import DEFAULT_FOLDER, read_knowledge

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
    *plain, question = read_knowledge(tmp_path)
    assert plain[0].answer == " ".join([sentence] * 5)
    assert all(len(passage.answer) <= 300 for passage in plain)
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
        read_knowledge(tmp_path, max_file_mib=1)


def test_a_folder_without_knowledge_is_named(tmp_path: Path) -> None:
    with pytest.raises(KnowledgeError, match="has no document"):
        read_knowledge(tmp_path)
    with pytest.raises(KnowledgeError, match="does not exist"):
        read_knowledge(tmp_path / "nowhere")


def test_the_default_knowledge_can_be_told_on_the_telephone() -> None:
    for entry in read_knowledge(DEFAULT_FOLDER):
        assert len(entry.answer) < 200, entry.source
        assert len(entry.phrasings) >= 2, entry.source
