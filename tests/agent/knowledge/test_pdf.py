# SPDX-License-Identifier: GPL-3.0-or-later
"""PDF as knowledge: pages keep their numbers, and whatever a damaged file does is a fault that names it."""

from pathlib import Path

import pypdf
import pytest

from agent.errors import KnowledgeError
from agent.knowledge.entry import Entry
from agent.knowledge.reading import Document, read_document
from tests.pdf import pdf_of

TERMS = [
    ["Terms of booking", "Payment", "We take cards and cash.", "A deposit is due at once."],
    ["Cancellation", "Until a month before it costs nothing."],
]


def read(path: Path, content: bytes) -> list[Entry]:
    path.write_bytes(content)
    return read_document(Document(str(path), path.name, ".pdf"))


def test_short_lines_above_a_text_are_its_headings_and_each_entry_names_its_page(tmp_path: Path) -> None:
    payment, cancellation = read(tmp_path / "terms.pdf", pdf_of(TERMS))
    assert (payment.heading, payment.source) == ("Payment", "terms.pdf:1")
    assert payment.answer == "We take cards and cash. A deposit is due at once."
    assert (cancellation.heading, cancellation.source) == ("Cancellation", "terms.pdf:2")


def test_lines_of_a_paragraph_are_joined_and_a_word_cut_at_the_end_of_a_line_is_whole_again(tmp_path: Path) -> None:
    lines = ["Payment", "We take cards, cash and vou-", "chers of our own, but no cheques."]
    (entry,) = read(tmp_path / "terms.pdf", pdf_of([lines]))
    assert entry.answer == "We take cards, cash and vouchers of our own, but no cheques."


def test_a_page_without_text_among_others_is_no_fault_and_a_file_without_any_is(tmp_path: Path) -> None:
    entries = read(tmp_path / "scan.pdf", pdf_of([[""], *TERMS]))
    assert [entry.source for entry in entries] == ["scan.pdf:2", "scan.pdf:3"]
    with pytest.raises(KnowledgeError, match=r"scan\.pdf:1: .*nothing to answer with"):
        read(tmp_path / "scan.pdf", pdf_of([[""], [""]]))


def test_a_file_that_needs_a_password_is_refused(tmp_path: Path) -> None:
    plain, locked = tmp_path / "plain.pdf", tmp_path / "locked.pdf"
    plain.write_bytes(pdf_of(TERMS))
    writer = pypdf.PdfWriter(clone_from=plain)
    writer.encrypt("open sesame", algorithm="RC4-128")
    writer.write(locked)
    with pytest.raises(KnowledgeError, match=r"locked\.pdf: needs a password"):
        read_document(Document(str(locked), locked.name, ".pdf"))


def test_no_damage_raises_anything_but_a_fault_that_names_the_file(tmp_path: Path) -> None:
    whole = pdf_of(TERMS)
    faults = []
    for cut in range(0, len(whole), 37):
        for damaged in (whole[:cut], whole[:cut] + b"<< [ \xff" + whole[cut + 7 :]):
            try:
                read(tmp_path / "damaged.pdf", damaged)
            except KnowledgeError as fault:
                faults.append(str(fault))
    assert faults
    assert all("damaged.pdf" in fault for fault in faults)
