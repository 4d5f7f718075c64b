# SPDX-License-Identifier: GPL-3.0-or-later
"""A share of what `scripts/fuzz_streams` sends; all of it takes minutes."""

import pytest

from gateway.streams.messages import Encoding, ProtocolName
from gateway.streams.protocols import PROTOCOLS
from tests.fuzz.streams import CASES, MAX_KEPT_BYTES, fuzz

_EACH = 2500


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_nothing_that_a_backend_sends_raises(case: tuple[ProtocolName, Encoding, int]) -> None:
    found = fuzz(case, _EACH, measure_memory=False)
    assert found.messages == _EACH
    assert found.refused > _EACH // 10, "the mutations no longer reach what is refused"


def test_nothing_that_a_backend_sends_is_kept() -> None:
    assert fuzz(("twilio", "pcmu", 8000), 1000).largest_kept < MAX_KEPT_BYTES


def test_every_protocol_is_fuzzed() -> None:
    assert {case[0] for case in CASES} == set(PROTOCOLS)
