# SPDX-License-Identifier: GPL-3.0-or-later
"""rtpengine's language."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge.rtpengine_ng import BencodeError, RtpengineNg, RtpengineSilent, Value, decode, encode

_VALUES: st.SearchStrategy[Value] = st.recursive(
    st.integers() | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(_VALUES)
def test_what_is_written_is_read(value: Value) -> None:
    assert decode(encode(value)) == value


@given(st.binary(max_size=60))
def test_any_other_bytes_are_refused_and_nothing_worse(data: bytes) -> None:
    with contextlib.suppress(BencodeError):
        decode(data)


@pytest.mark.parametrize("data", [b"", b"i1", b"ixe", b"5:abc", b"l", b"d3:abc", b"di1ei2ee", b"i1ei2e", b"l" * 5000])
def test_what_is_cut_off_or_goes_on_is_refused(data: bytes) -> None:
    with pytest.raises(BencodeError):
        decode(data)


async def test_nobody_there_is_told_soon() -> None:
    with pytest.raises(RtpengineSilent, match="no answer from"):
        await RtpengineNg("127.0.0.1", 9).ask("ping")
