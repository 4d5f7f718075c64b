# SPDX-License-Identifier: GPL-3.0-or-later
"""Page tokens, and credentials for a TURN server."""

import base64
import hashlib
import hmac

import pytest
from pydantic import SecretStr, ValidationError

from gateway.errors import TokenRefused, TooManyTokens
from gateway.webrtc import tokens as page_tokens
from gateway.webrtc.config import WebRtcConfig
from gateway.webrtc.tokens import PageGrant, PageTokens
from gateway.webrtc.turn import TTL_S, ice_servers


def test_a_token_opens_calls_until_it_expires_and_its_own_call_beyond() -> None:
    tokens = PageTokens()
    token = tokens.issue(PageGrant("receptionist", expires_at=100.0), now=0.0)
    grant = tokens.find(token, 99.0)
    grant.call_id = "call_1"
    assert tokens.find(token, 101.0, for_call="call_1") is grant
    with pytest.raises(TokenRefused, match="expired"):
        tokens.find(token, 101.0)
    with pytest.raises(TokenRefused, match="another call"):
        tokens.find(token, 99.0, for_call="call_2")
    with pytest.raises(TokenRefused, match="not known"):
        tokens.find(token[:-1], 0.0)


def test_no_more_than_so_many_are_kept_and_expired_ones_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_tokens, "_MAX_TOKENS", 3)
    tokens = PageTokens()
    for _ in range(3):
        tokens.issue(PageGrant(None, expires_at=10.0), now=0.0)
    with pytest.raises(TooManyTokens):
        tokens.issue(PageGrant(None, expires_at=10.0), now=9.0)
    tokens.issue(PageGrant(None, expires_at=30.0), now=11.0)
    assert len(tokens) == 1


def test_turn_credentials_are_those_that_coturn_makes_of_the_same_secret() -> None:
    config = WebRtcConfig(turn="turn.example:3478", turn_secret=SecretStr("north"), stun="stun.example")
    stun, turn = ice_servers(config, "browser", 1_000_000.0)
    assert stun == {"urls": ["stun:stun.example"]}
    assert turn["username"] == f"{1_000_000 + TTL_S}:browser"
    digest = hmac.new(b"north", str(turn["username"]).encode(), hashlib.sha1).digest()
    assert turn["credential"] == base64.b64encode(digest).decode()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"turn": "turn.example"}, "turn_secret"),
        ({"relay_only": True}, "relay_only needs turn"),
        ({"udp_port_min": 4000, "udp_port_max": 3000}, "udp_port_max"),
        ({"origins": ["https://shop.example/path"]}, "origin"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        WebRtcConfig.model_validate(settings)
