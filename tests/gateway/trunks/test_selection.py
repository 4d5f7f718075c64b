# SPDX-License-Identifier: GPL-3.0-or-later
"""Which trunk carries a call."""

import pytest

from gateway.trunks.config import TrunkConfig
from gateway.trunks.selection import candidates, fails_over, host_and_port, hosts


def trunk(name: str, **more: object) -> TrunkConfig:
    return TrunkConfig.model_validate({"name": name, "host": f"{name}.test", **more})


def names(trunks: list[TrunkConfig], number: str, down: str = "") -> list[str]:
    return [one.name for one in candidates(trunks, number, lambda name: name not in down.split())]


def test_those_that_fit_come_by_cost_and_then_as_they_stand() -> None:
    trunks = [trunk("a", cost=2), trunk("b"), trunk("c", match=r"\+44\d+"), trunk("d", outbound=False)]
    assert names(trunks, "+14155550100") == ["b", "a"]
    assert names(trunks, "+441632960123") == ["b", "c", "a"]


def test_a_trunk_that_is_down_comes_last_whatever_it_costs() -> None:
    trunks = [trunk("a"), trunk("b", cost=1), trunk("c", cost=2)]
    assert names(trunks, "1", down="a") == ["b", "c", "a"]
    assert names(trunks, "1", down="a b c") == ["a", "b", "c"]


def test_what_people_write_between_digits_does_not_matter() -> None:
    assert names([trunk("a", match=r"\+1\d{10}")], "+1 (415) 555-0100") == ["a"]
    assert names([trunk("a", match=r"[a-z.]+")], "jane.doe") == ["a"]


def test_the_hosts_of_a_trunk_come_in_order() -> None:
    assert hosts(trunk("a", backup_hosts=["b.test", "c.test:5080"])) == ("a.test", "b.test", "c.test:5080")


def test_some_responses_send_a_call_elsewhere() -> None:
    assert [code for code in (302, 404, 408, 480, 486, 500, 501, 503, 603) if fails_over(trunk("a"), code)] == [
        408,
        500,
        503,
    ]
    assert fails_over(trunk("a", failover_codes=[480]), 480)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sip.example.com", ("sip.example.com", 0)),
        ("sip.example.com:5080", ("sip.example.com", 5080)),
        ("[2001:db8::5]:5080", ("2001:db8::5", 5080)),
        ("[2001:db8::5]", ("2001:db8::5", 0)),
    ],
)
def test_a_host_is_read_with_its_port(text: str, parts: tuple[str, int]) -> None:
    assert host_and_port(text) == parts
