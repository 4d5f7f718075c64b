# SPDX-License-Identifier: GPL-3.0-or-later
"""Which messages belong to which call, and what is taken out of them."""

import time

import pytest

from gateway.sip.signalling import MOST_MESSAGES, Signalling, SipMessage, without_secrets


def message(sip_call_id: str, at_us: int = 0, text: str = "ACK sip:a@b SIP/2.0\r\n\r\n") -> SipMessage:
    return SipMessage.of_wire(at_us, False, "UDP", "192.0.2.1:5060", "192.0.2.9:5060", sip_call_id, text.encode())


def test_a_call_has_the_messages_of_its_call_id_also_those_from_before_it_was_known() -> None:
    signalling = Signalling()
    signalling.receive([message("one", 1), message("other", 2)])
    signalling.bind("one", "call_1")
    signalling.receive([message("one", 3), message("other", 4)])

    assert [one.at_us for one in signalling.of_call("call_1")] == [1, 3]
    assert signalling.of_call("call_2") == ()


def test_a_call_that_was_dialled_twice_has_the_messages_of_both_attempts_in_order() -> None:
    signalling = Signalling()
    signalling.bind("first", "call_1")
    signalling.bind("second", "call_1")
    signalling.receive([message("first", 1), message("second", 3), message("first", 2)])

    assert [one.at_us for one in signalling.of_call("call_1")] == [1, 2, 3]


def test_an_ended_call_waits_for_its_stragglers_and_is_then_forgotten() -> None:
    signalling = Signalling()
    signalling.bind("one", "call_1")
    signalling.receive([message("one", 1)])
    signalling.end("call_1", now=10.0)
    assert signalling.due(12.9) == []
    signalling.receive([message("one", 2)])

    ((call_id, messages),) = signalling.due(13.0)
    assert (call_id, [one.at_us for one in messages]) == ("call_1", [1, 2])
    assert signalling.due(99.0) == []
    assert signalling.of_call("call_1") == ()


def test_calls_whose_callers_write_the_same_call_id_do_no_harm_to_each_other() -> None:
    signalling = Signalling()
    signalling.bind("same", "call_1")
    signalling.bind("same", "call_2")
    signalling.receive([message("same", 1)])
    signalling.end("call_1", now=0.0)
    signalling.end("call_2", now=10.0)

    assert [call_id for call_id, _ in signalling.due(5.0)] == ["call_1"]
    assert signalling.of_call("call_2") == ()
    assert signalling.due(99.0) == []


def test_a_call_without_messages_is_not_written() -> None:
    signalling = Signalling()
    signalling.end("call_1", now=0.0)
    assert signalling.due(99.0) == []


def test_of_a_long_dialog_the_beginning_and_the_end_are_kept() -> None:
    signalling = Signalling()
    signalling.bind("one", "call_1")
    signalling.receive(message("one", at) for at in range(1000))

    kept = [one.at_us for one in signalling.of_call("call_1")]
    assert len(kept) == MOST_MESSAGES
    assert kept[:100] == list(range(100))
    assert kept[-100:] == list(range(900, 1000))


def test_strangers_do_not_crowd_out_calls() -> None:
    signalling = Signalling()
    signalling.receive([message("one", 1)])
    signalling.bind("one", "call_1")
    signalling.receive(message(f"stranger-{number}") for number in range(5000))

    assert len(signalling.of_call("call_1")) == 1
    signalling.bind("stranger-0", "call_2")  # was forgotten
    signalling.bind("stranger-4999", "call_3")
    assert (len(signalling.of_call("call_2")), len(signalling.of_call("call_3"))) == (0, 1)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        (
            'Authorization: Digest username="anna", response="0123abcd", algorithm=MD5',
            'Authorization: Digest username="anna", response="...", algorithm=MD5',
        ),
        ('proxy-authorization : Digest response = "0123"', 'proxy-authorization : Digest response = "..."'),
        (
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:c2VjcmV0|2^31",
            "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:...|2^31",
        ),
        ("Signal=5", "Signal=*"),
        ("WWW-Authenticate: Digest nonce=1", "WWW-Authenticate: Digest nonce=1"),
    ],
)
def test_what_opens_doors_is_taken_out(line: str, kept: str) -> None:
    text = message("one", text=f"INFO sip:a@b SIP/2.0\r\nTo: <sip:b>\r\n{line}\r\n\r\n").text
    assert text == f"INFO sip:a@b SIP/2.0\r\nTo: <sip:b>\r\n{kept}\r\n\r\n"


def test_a_key_that_is_a_body_by_itself_is_taken_out() -> None:
    text = message("one", text="INFO sip:a@b SIP/2.0\r\nContent-Type: application/dtmf\r\n\r\n7").text
    assert text == "INFO sip:a@b SIP/2.0\r\nContent-Type: application/dtmf\r\n\r\n*"


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("INVITE sip:a@b SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n", "INVITE"),
        ("SIP/2.0 180 Ringing\r\nCSeq: 1 INVITE\r\n\r\n", "180 Ringing (INVITE)"),
        ("SIP/2.0 200 OK\r\n\r\n", "200 OK"),
        ("", ""),
    ],
)
def test_a_message_in_short(text: str, summary: str) -> None:
    assert message("one", text=text).summary == summary


_HEAD = "INFO sip:a@b SIP/2.0\r\nCSeq: 1 INFO\r\n"


@pytest.mark.parametrize(
    "text",
    [
        f'{_HEAD}Authorization: Digest username="a",\r\n response="opensesame"\r\n\r\n',
        f'{_HEAD}Authorization: Digest username="a", response=\r\n\t"opensesame", uri="x"\r\n\r\n',
        f'{_HEAD}Authorization: Digest username="a", response=opensesame, uri="x"\r\n\r\n',
        f'{_HEAD}Authorization: Digest response="x", Digest response="opensesame"\r\n\r\n',
        f'{_HEAD}Proxy-Authorization\r\n : Digest response="opensesame"\r\n\r\n',
        f"{_HEAD}\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:one|2^20|1:4;inline:opensesame|2^20|2:4\r\n",
        f"{_HEAD}\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline: opensesame\r\n",
        f"{_HEAD}\r\nk=clear:opensesame\r\n",
        f"{_HEAD}\r\na=key-mgmt:mikey opensesame\r\n",
        f"{_HEAD}Content-Type: application/dtmf;charset=utf-8\r\n\r\nopensesame",
        f"{_HEAD}Content-Type:\r\n application/dtmf\r\n\r\nopensesame",
        f"{_HEAD}Content-Type: application / dtmf\r\n\r\nopensesame",
        f"{_HEAD}c: application/dtmf\r\n\r\nopensesame",
        "INFO sip:a@b SIP/2.0\nContent-Type: application/dtmf\n\nopensesame",
        f"{_HEAD}c: application/dtmf-relay\r\n\r\nDuration=100\rSignal=opensesame",
        f"{_HEAD}c: multipart/mixed;boundary=x\r\n\r\n--x\r\nContent-Type: application/dtmf\r\n\r\nopensesame\r\n--x--",
    ],
)
def test_no_other_way_of_writing_keeps_a_secret(text: str) -> None:
    kept = message("one", text=text).text
    assert "opensesame" not in kept
    assert kept.splitlines()[0] == text.splitlines()[0]


@pytest.mark.parametrize(
    "text",
    [
        "c: application/dtmf\r\n" * 3_000,
        "Authorization: x\r\n" * 3_000,
        "Authorization:" + "\n " * 30_000,
        "\r \r " * 16_000,
    ],
    ids=["dtmf", "authorization", "folded", "returns"],
)
def test_no_message_holds_the_thread_of_all_calls_up(text: str) -> None:
    begun = time.process_time()
    without_secrets(text)
    assert time.process_time() - begun < 0.5, "a message of 64 KB, eight times what PJSIP takes"
