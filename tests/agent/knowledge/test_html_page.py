# SPDX-License-Identifier: GPL-3.0-or-later
"""HTML as knowledge: what a reader of the page would read, and nothing of what surrounds it."""

import pytest

from agent.knowledge.entry import Entry
from agent.knowledge.html_page import decode_html, read_html

PAGE = """<!doctype html>
<html><head><title>Boats - Fernhill</title><style>p { color: red }</style></head>
<body><nav><ul><li>Home</li><li>Boats</li></ul></nav>
<h1>Boats</h1>
<p>You can hire boats from <b>May</b> to
   September&nbsp;&ndash; every day.</p>
<h2>Can I bring my own boat?</h2>
<ul><li>Yes, you can</li><li>The launch is beside the beach</li></ul>
<script>document.write("<p>not this</p>")</script>
<footer><nav>More</nav><p>Imprint</p></footer>
</body></html>
"""


def entries(text: str) -> list[Entry]:
    return [entry for section in read_html("boats.html", text) for entry in section.entries()]


def test_headings_paragraphs_and_lists_are_read_with_their_lines_and_the_title_is_the_topic() -> None:
    hire, own = entries(PAGE)
    assert (hire.heading, hire.topic, hire.source) == ("Boats", "Boats - Fernhill", "boats.html:4")
    assert hire.answer == "You can hire boats from May to September \N{EN DASH} every day."
    assert (own.heading, own.source, own.is_prepared) == ("Can I bring my own boat?", "boats.html:7", True)
    assert own.answer == "Yes, you can The launch is beside the beach"


def test_menus_scripts_styles_and_footers_are_left_out() -> None:
    said = " ".join(entry.words for entry in entries(PAGE))
    assert not any(word in said for word in ("Home", "not this", "Imprint", "More", "color"))


def test_a_row_of_a_table_is_told_with_the_names_of_its_columns() -> None:
    head = "<tr><th>Boat</th><th>one hour</th><th>half a day</th></tr>"
    row = "<tr><td>Kayak</td><td>$9</td><td>$25</td></tr>"
    (entry,) = entries(f"<h2>Prices</h2><table>{head}{row}<tr><td></td></tr></table>")
    assert entry.answer == "Kayak: one hour $9, half a day $25."


def test_a_second_table_does_not_take_the_columns_of_the_first() -> None:
    first = "<table><tr><th>Boat</th><th>price</th></tr><tr><td>Kayak</td><td>$9</td></tr></table>"
    (entry,) = entries(f"<h2>Prices</h2>{first}<table><tr><td>Monday</td><td>closed</td></tr></table>")
    assert entry.answer == "Kayak: price $9. Monday: closed."


@pytest.mark.parametrize("end", ["", "</nav>", "</p></td></tr></li>", "<!-- never closed", "<p", "&#xFFFFFFFF;"])
def test_pages_that_are_not_well_formed_are_read_as_far_as_they_go(end: str) -> None:
    assert entries(f"<h2>Hours</h2><p>We <b>open at nine.{end}")[0].answer.startswith("We open at nine.")


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'<meta charset="iso-8859-1"><p>caf\xe9', "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
        (b"\xef\xbb\xbf<p>caf\xc3\xa9", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
        (b'<meta charset="no-such-thing"><p>caf\xc3\xa9', "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
    ],
)
def test_a_page_is_decoded_as_it_says_or_as_utf_8(body: bytes, text: str) -> None:
    assert decode_html(body).endswith(text)
    with pytest.raises(UnicodeDecodeError):
        decode_html(b"<p>caf\xe9")
