# SPDX-License-Identifier: GPL-3.0-or-later
"""ConversationRelay's messages, as its documentation shows them."""

import json

import pytest

from gateway.streams.conversationrelay import (
    EndSession,
    PlayMedia,
    SwitchLanguage,
    TextToken,
    dtmf,
    error,
    interrupt,
    parse,
    prompt,
    setup,
)
from gateway.streams.messages import Malformed, SendKeys, StreamFormat, StreamStarted

STARTED = StreamStarted(
    call_id="call_0123456789abcdef0123",
    stream_id="stream_1",
    from_="+15550100",
    to="+15550101",
    call_direction="inbound",
    stream_direction="bidirectional",
    tracks=("inbound",),
    format=StreamFormat("l16", 8000),
    metadata={"tenant": "7"},
)


def test_the_setup_has_every_field_that_backends_may_read() -> None:
    message = json.loads(setup(STARTED, "AC" + "5" * 32))
    assert message.pop("sessionId")[:2] == "VX"
    assert message == {
        "type": "setup",
        "accountSid": "AC" + "5" * 32,
        "parentCallSid": "",
        "callSid": "CA7061726c65790123456789abcdef0123",
        "from": "+15550100",
        "to": "+15550101",
        "forwardedFrom": "",
        "callType": "SIP",
        "callerName": "",
        "direction": "inbound",
        "callStatus": "IN-PROGRESS",
        "customParameters": {"tenant": "7"},
    }


def test_what_a_backend_is_told() -> None:
    assert prompt("Hi! How are you?", "en", last=True) == (
        '{"type":"prompt","voicePrompt":"Hi! How are you?","lang":"en","last":true}'
    )
    assert interrupt("Life is a complex set of", 460) == (
        '{"type":"interrupt","utteranceUntilInterrupt":"Life is a complex set of","durationUntilInterruptMs":460}'
    )
    assert dtmf("1") == '{"type":"dtmf","digit":"1"}'
    assert error("Invalid message: x") == '{"type":"error","description":"Invalid message: x"}'


def test_what_a_backend_says() -> None:
    assert parse('{"type":"text","token":"Hello","last":true,"interruptible":true,"preemptible":true}') == TextToken(
        "Hello", True, "any", True
    )
    assert parse('{"type":"text","token":"Hello"}') == TextToken("Hello", False, None, False)
    assert parse('{"type":"play","source":"https://example.com/a.wav","loop":2,"interruptible":"dtmf"}') == PlayMedia(
        "https://example.com/a.wav", 2, "dtmf"
    )
    assert parse('{"type":"sendDigits","digits":"9www4085551212"}') == SendKeys("9www4085551212")
    assert parse('{"type":"language","ttsLanguage":"sv-SE","transcriptionLanguage":"en-US"}') == SwitchLanguage(
        "sv-SE", "en-US"
    )
    assert parse('{"type":"end","handoffData":"{\\"reason\\":\\"done\\"}"}') == EndSession('{"reason":"done"}')
    assert parse('{"type":"end"}') == EndSession("")


@pytest.mark.parametrize(
    ("given", "meant"),
    [("none", "none"), ("dtmf", "dtmf"), ("speech", "speech"), ("any", "any"), (True, "any"), (False, "none")],
)
def test_interruptible_is_a_word_or_a_boolean(given: object, meant: str) -> None:
    token = parse(json.dumps({"type": "text", "token": "a", "interruptible": given}))
    assert isinstance(token, TextToken)
    assert token.interruptible == meant


@pytest.mark.parametrize("given", ["sometimes", 1, 1.0, None, [], {}])
def test_any_other_value_means_as_configured(given: object) -> None:
    token = parse(json.dumps({"type": "text", "token": "a", "interruptible": given}))
    assert isinstance(token, TextToken)
    assert token.interruptible is None


def test_a_loop_of_zero_is_for_ever_as_far_as_that_goes() -> None:
    assert parse('{"type":"play","source":"https://example.com/a.wav","loop":0}') == PlayMedia(
        "https://example.com/a.wav", 1000
    )


def test_an_unknown_type_is_nothing() -> None:
    assert parse('{"type":"applause"}') is None
    assert parse("{}") is None


@pytest.mark.parametrize(
    "message",
    [
        b"\x00",
        "",
        "[]",
        '{"type":"text"}',
        '{"type":"text","token":5}',
        '{"type":"text","token":"a","last":"yes"}',
        '{"type":"play"}',
        '{"type":"play","source":"a","loop":-1}',
        '{"type":"play","source":"a","loop":1001}',
        '{"type":"play","source":"a","loop":"2"}',
        '{"type":"sendDigits"}',
        '{"type":"sendDigits","digits":""}',
        '{"type":"sendDigits","digits":"12a"}',
    ],
)
def test_what_is_no_message_says_why(message: str | bytes) -> None:
    assert isinstance(parse(message), Malformed)
