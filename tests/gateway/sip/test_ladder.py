# SPDX-License-Identifier: GPL-3.0-or-later
"""The ladder as `parley trace` prints it."""

from gateway.sip.ladder import ladder, texts

MESSAGES = [
    {
        "at": "2026-11-23T02:00:00.000000Z",
        "sent": False,
        "transport": "UDP",
        "peer": "192.0.2.9:5060",
        "summary": "INVITE",
        "text": "INVITE sip:a@b SIP/2.0\r\n\r\n",
    },
    {
        "at": "2026-11-23T02:00:00.012000Z",
        "sent": True,
        "transport": "UDP",
        "peer": "192.0.2.9:5060",
        "summary": "100 Trying (INVITE)",
        "text": "SIP/2.0 100 Trying\r\n\r\n",
    },
]


def test_each_message_has_its_time_its_way_and_its_name() -> None:
    assert ladder(MESSAGES).splitlines() == [
        "  +0.000    UDP <---- INVITE -------------------------- 192.0.2.9:5060",
        "  +0.012    UDP ---- 100 Trying (INVITE) -------------> 192.0.2.9:5060",
    ]


def test_the_messages_stand_whole_under_their_lines() -> None:
    assert "+0.012    UDP ---- 100 Trying (INVITE) -------------> 192.0.2.9:5060\nSIP/2.0 100 Trying" in texts(MESSAGES)


def test_nothing_was_kept() -> None:
    assert ladder([]) == texts([]) == "  no SIP messages were kept"


def test_what_a_peer_writes_gives_no_orders_to_the_terminal() -> None:
    told = {
        **MESSAGES[0],
        "summary": "486 \x1b]0;owned\x07",
        "text": "SIP/2.0 486 \x1b[2J\r\nX: \x9b31m\u202e\ty\r\n\r\n",
    }
    for shown in (ladder([told]), texts([told])):
        assert all(letter.isprintable() or letter == "\n" for letter in shown)
    assert texts([told]).splitlines()[1:] == ["SIP/2.0 486 \ufffd[2J", "X: \ufffd31m\ufffd y"]
