# SPDX-License-Identifier: GPL-3.0-or-later
"""Tokens that are good once."""

import pytest

from gateway.errors import TokenRefused, TooManyTokens
from gateway.streams import tokens as module
from gateway.streams.tokens import StreamTokens


def test_a_token_opens_its_call_once() -> None:
    tokens = StreamTokens()
    token = tokens.issue("stream", "call_1", 60, now=10.0)
    assert tokens.redeem(token, "call_1", now=69.9).scope == "stream"
    for _ in range(2):
        with pytest.raises(TokenRefused, match="was used before"):
            tokens.redeem(token, "call_1", now=11.0)


def test_an_attempt_at_another_call_uses_it_up() -> None:
    tokens = StreamTokens()
    token = tokens.issue("stream", "call_1", 60, now=0.0)
    with pytest.raises(TokenRefused, match="is for another call"):
        tokens.redeem(token, "call_2", now=1.0)
    with pytest.raises(TokenRefused):
        tokens.redeem(token, "call_1", now=1.0)


def test_a_token_without_a_call_opens_any_one() -> None:
    tokens = StreamTokens()
    token = tokens.issue("listen", None, 60, now=0.0)
    assert tokens.redeem(token, "call_7", now=1.0).scope == "listen"
    with pytest.raises(TokenRefused):
        tokens.redeem(token, "call_8", now=1.0)


def test_it_expires() -> None:
    tokens = StreamTokens()
    token = tokens.issue("stream", "call_1", 60, now=0.0)
    with pytest.raises(TokenRefused, match="has expired"):
        tokens.redeem(token, "call_1", now=60.0)


@pytest.mark.parametrize("token", ["", "ptk_", "ptk_" + "A" * 43, "\udcff", "x" * 100_000])
def test_what_is_none_opens_nothing(token: str) -> None:
    tokens = StreamTokens()
    tokens.issue("stream", None, 60, now=0.0)
    with pytest.raises(TokenRefused, match="unknown"):
        tokens.redeem(token, "call_1", now=1.0)
    assert len(tokens) == 1


def test_a_call_that_ends_takes_its_tokens_along() -> None:
    tokens = StreamTokens()
    mine, other, free = (tokens.issue("stream", call, 60, now=0.0) for call in ("call_1", "call_2", None))
    tokens.forget_call("call_1")
    with pytest.raises(TokenRefused, match="its call is over"):
        tokens.redeem(mine, "call_1", now=1.0)
    assert tokens.redeem(other, "call_2", now=1.0)
    assert tokens.redeem(free, "call_3", now=1.0)


def test_they_are_bounded_and_expired_ones_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_TOKENS", 3)
    tokens = StreamTokens()
    for ttl_s in (10, 20, 30):
        tokens.issue("stream", None, ttl_s, now=0.0)
    with pytest.raises(TooManyTokens):
        tokens.issue("stream", None, 60, now=9.9)
    tokens.issue("stream", None, 60, now=10.0)
    assert len(tokens) == 3


def test_they_are_random_and_not_kept() -> None:
    tokens = StreamTokens()
    issued = {tokens.issue("stream", "call_1", 60, now=0.0) for _ in range(100)}
    assert len(issued) == 100
    assert not any(token in repr(vars(tokens)) for token in issued)
