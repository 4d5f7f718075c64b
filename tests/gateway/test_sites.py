# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits by address cannot be passed by one who has a network full of addresses."""

import pytest

from gateway.sites import site_of


@pytest.mark.parametrize(
    ("source", "site"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_a_site_is_an_ipv4_address_or_a_64_of_ipv6(source: str, site: str) -> None:
    assert site_of(source) == site
