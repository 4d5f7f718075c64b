# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets in, and what everybody else is told."""

from dataclasses import replace
from ipaddress import ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sip.guard import Accept, Answer, Drop, Guard, GuardedTrunk, GuardSettings, Reason, Request, Verdict
from gateway.sip.head import MessageHead
from tests.gateway.sip.test_digest import Phone

PUBLIC = "203.0.113.66"
OTHER = "203.0.113.67"
PRIVATE = "192.168.1.20"
TRUNK = "198.51.100.10"
CARRIER = GuardedTrunk("carrier", (ip_network("198.51.100.0/24"),), max_calls=2)


def guard(**settings: object) -> Guard:
    return Guard(GuardSettings(trunks=(CARRIER,), **settings), b"k" * 32)  # type: ignore[arg-type]


def request(
    source: str,
    method: str = "INVITE",
    *,
    to: str = "agent",
    port: int = 5060,
    stray: bool = False,
    is_full: bool = False,
    transport: str = "UDP",
    **headers: str,
) -> Request:
    lines = [f"{method} sip:{to}@192.0.2.1 SIP/2.0", "From: <sip:somebody@example.com>;tag=1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return Request(method, source, port, transport, MessageHead.parse("\r\n".join(lines)), stray, is_full)


def asked(verdict: Verdict) -> str:
    """The challenge of a 401."""
    assert isinstance(verdict, Answer)
    assert verdict.code == 401
    return verdict.headers[0][1]


def codes(keeper: Guard, times: int, one: Request, now: float = 0.0) -> list[int]:
    """What the same request gets, time after time; 0: silence."""
    found = []
    for _ in range(times):
        verdict = keeper.receive_request(one, now)
        found.append(verdict.code if isinstance(verdict, Answer) else 200 if isinstance(verdict, Accept) else 0)
    return found


# Trunks


def test_a_trunk_is_known_by_its_addresses() -> None:
    assert guard().receive_request(request(TRUNK), 0.0) == Accept(TRUNK, trunk="carrier")


def test_the_narrowest_network_says_whose_call_it_is() -> None:
    narrow = GuardedTrunk("narrow", (ip_network("198.51.100.10/32"),))
    keeper = Guard(GuardSettings(trunks=(CARRIER, narrow)), b"k")
    assert keeper.trunk_of(TRUNK) == "narrow"
    assert keeper.trunk_of("198.51.100.11") == "carrier"
    assert keeper.trunk_of(f"::ffff:{TRUNK}") == "narrow"


def test_audio_over_ipv6_is_refused_to_who_would_be_let_in_and_looked_for_with_nobody_else() -> None:
    looked: list[str] = []

    def call(source: str) -> Request:
        def look() -> bool:
            looked.append(source)
            return True

        return replace(request(source), offers_ipv6=look)

    keeper = guard(has_ipv6=False)
    assert keeper.receive_request(call(TRUNK), 0.0) == Answer(488, Reason.IPV6)
    assert keeper.receive_request(call(PUBLIC), 0.0) == Answer(403, Reason.STRANGER)
    assert keeper.refused[Reason.IPV6] == 1
    assert isinstance(guard().receive_request(call(TRUNK), 0.0), Accept)
    assert looked == [TRUNK]


def test_what_was_learned_of_a_trunk_lets_its_calls_in() -> None:
    keeper = guard(strangers="nobody")
    assert keeper.trunk_of(PUBLIC) == ""
    keeper.learn("carrier", PUBLIC)
    keeper.learn("unknown trunk", OTHER)
    assert keeper.receive_request(request(PUBLIC), 0.0) == Accept(PUBLIC, trunk="carrier")
    assert keeper.trunk_of(OTHER) == ""


def test_a_trunk_is_never_limited_or_banned() -> None:
    keeper = guard(requests_per_s=1.0, tries=1)
    assert codes(keeper, 100, request(TRUNK)) == [200] * 100
    assert codes(keeper, 100, request(TRUNK, "BYE", stray=True)) == [481] * 100


def test_calls_beyond_a_trunks_own_limit_are_told_to_come_again() -> None:
    keeper = guard()
    for handle in ("one", "two"):
        assert isinstance(keeper.receive_request(request(TRUNK), 0.0), Accept)
        keeper.begin_call(handle, TRUNK, "carrier")
    verdict = keeper.receive_request(request(TRUNK), 0.0)
    assert verdict == Answer(503, Reason.TRUNK_CAPACITY, (("Retry-After", "10"),))
    keeper.end_call("one")
    keeper.end_call("one")
    assert isinstance(keeper.receive_request(request(TRUNK), 0.0), Accept)
    keeper.begin_call("out", trunk="carrier")  # calls out count, too
    assert not keeper.has_room("carrier")


_LEGS = st.sampled_from("abcd")
_STEPS = st.one_of(
    st.tuples(st.just("begin"), _LEGS, st.sampled_from((PRIVATE, TRUNK, ""))),
    st.tuples(st.just("succeed"), _LEGS, _LEGS),
    st.tuples(st.just("end"), _LEGS, st.just("")),
)


@settings(derandomize=True)
@given(st.lists(_STEPS, max_size=30))
def test_each_leg_counts_for_its_own_source_and_trunk_until_it_ends_whoever_takes_whose_place(
    steps: list[tuple[str, str, str]],
) -> None:
    keeper = guard(max_calls_per_source=2, requests_per_s=1000.0)
    standing: dict[str, str] = {}
    for step, handle, given_to in steps:
        if step == "begin" and handle not in standing:
            standing[handle] = given_to
            keeper.begin_call(handle, given_to, "carrier" if given_to == TRUNK else "")
        elif step == "succeed" and given_to in standing and handle != given_to:
            new, old = standing.pop(given_to), standing.pop(handle, None)
            standing |= {handle: new} if old is None else {handle: new, given_to: old}
            keeper.succeed_call(handle, given_to)
        elif step == "end":
            standing.pop(handle, None)
            keeper.end_call(handle)
        sources = list(standing.values())
        verdict = keeper.receive_request(request(PRIVATE), 0.0)
        assert isinstance(verdict, Accept) is (sources.count(PRIVATE) < 2)
        assert keeper.has_room("carrier") is (sources.count(TRUNK) < 2)


# Strangers


@pytest.mark.parametrize(
    ("strangers", "source", "code"),
    [
        ("private", PRIVATE, 200),
        ("private", "127.0.0.1", 200),
        ("private", "fd00::1", 200),
        ("private", PUBLIC, 403),
        ("private", "2001:db8::1", 403),
        ("private", "100.64.0.1", 403),
        ("everyone", PUBLIC, 200),
        ("nobody", PRIVATE, 403),
        ("nobody", "127.0.0.1", 403),
        ("nobody", "no address", 403),
    ],
)
def test_strangers_are_let_in_as_the_setting_says(strangers: str, source: str, code: int) -> None:
    assert codes(guard(strangers=strangers), 1, request(source)) == [code]


def test_a_stranger_who_is_refused_too_often_hears_nothing_more() -> None:
    keeper = guard(tries=10, ban_s=600.0)
    assert codes(keeper, 10, request(PUBLIC)) == [403] * 10
    assert keeper.receive_request(request(PUBLIC), 0.0) == Drop(Reason.TRIES, 600.0)
    assert codes(keeper, 1, request(OTHER)) == [403], "another address has its own tries"


def test_tries_come_back_with_time() -> None:
    keeper = guard(tries=10)
    assert codes(keeper, 11, request(PUBLIC))[-1] == 0
    assert codes(keeper, 1, request(PUBLIC), now=60.0) == [403]


def test_all_of_an_ipv6_network_has_the_same_tries() -> None:
    keeper = guard(tries=2)
    found = [codes(keeper, 1, request(f"2001:db8::{host:x}"))[0] for host in range(1, 5)]
    assert found == [403, 403, 0, 0]


def test_too_many_requests_are_told_to_come_again_and_then_banned() -> None:
    keeper = guard(requests_per_s=5.0, tries=3)
    assert codes(keeper, 15, request(PRIVATE)) == [200] * 10 + [503] * 3 + [0] * 2
    assert keeper.refused == {Reason.RATE: 3, Reason.TRIES: 2}


def test_exempt_networks_are_neither_limited_nor_banned() -> None:
    keeper = guard(requests_per_s=1.0, tries=1, max_calls_per_source=1, exempt=(ip_network("127.0.0.1/32"),))
    keeper.begin_call("one", "127.0.0.1")
    assert codes(keeper, 50, request("127.0.0.1")) == [200] * 50
    assert codes(keeper, 50, request("127.0.0.1", User_Agent="friendly-scanner")) == [0] * 50
    verdict = keeper.receive_request(request("127.0.0.1", User_Agent="friendly-scanner"), 0.0)
    assert verdict == Drop(Reason.SCANNER, 0.0)


def test_calls_of_one_source_are_limited() -> None:
    keeper = guard(max_calls_per_source=2)
    keeper.begin_call("one", PRIVATE)
    keeper.begin_call("two", PRIVATE)
    verdict = keeper.receive_request(request(PRIVATE), 0.0)
    assert verdict == Answer(503, Reason.SOURCE_CAPACITY, (("Retry-After", "10"),))
    assert codes(keeper, 1, request("192.168.1.21")) == [200]
    keeper.end_call("two")
    assert codes(keeper, 1, request(PRIVATE)) == [200]


def test_a_full_gateway_tells_even_trunks_to_come_again() -> None:
    keeper = guard()
    assert codes(keeper, 1, request(TRUNK, is_full=True)) == [503]
    assert codes(keeper, 1, request(TRUNK, "OPTIONS", is_full=True)) == [200]
    assert codes(keeper, 1, request(PUBLIC, is_full=True)) == [403], "strangers do not learn how busy it is"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("User-Agent", "friendly-scanner"),
        ("User-Agent", "sipcli/v1.8"),
        ("From", '"sipvicious"<sip:100@1.1.1.1>;tag=1'),
    ],
)
def test_scanners_hear_nothing_at_all(name: str, value: str) -> None:
    keeper = guard(strangers="everyone")
    message = Request("OPTIONS", PUBLIC, 5060, "UDP", MessageHead("OPTIONS sip:x SIP/2.0", ((name, value),)))
    assert keeper.receive_request(message, 0.0) == Drop(Reason.SCANNER, 600.0)


@pytest.mark.parametrize(
    ("method", "stray", "code"),
    [("BYE", True, 481), ("INVITE", True, 481), ("BYE", False, 481), ("INFO", False, 481), ("NEWMETHOD", False, 501)],
)
def test_what_belongs_to_no_call_is_answered_as_the_rfc_says(method: str, stray: bool, code: int) -> None:
    assert codes(guard(), 1, request(TRUNK, method, stray=stray)) == [code]


# Users

USERS = {"anna": "correct horse"}


@pytest.mark.parametrize("method", ["MESSAGE", "PUBLISH", "REFER", "SUBSCRIBE"])
def test_what_we_do_not_do_outside_a_call_is_said_to_whoever_may_ask(method: str) -> None:
    for source in (TRUNK, PRIVATE):
        assert codes(guard(), 1, request(source, method)) == [405]
    assert codes(guard(), 1, request(PUBLIC, method)) == codes(guard(), 1, request(PUBLIC))


def test_somebody_outside_who_has_no_password_is_asked_for_one_whoever_is_called() -> None:
    keeper = guard(users=USERS)
    answers = [keeper.receive_request(request(PUBLIC, to=to), 0.0) for to in ("agent", "anna", "nobody")]
    assert {(one.code, len(one.headers)) for one in answers if isinstance(one, Answer)} == {(401, 2)}


def test_a_user_may_call_from_anywhere_by_password() -> None:
    keeper = guard(users=USERS, strangers="nobody")
    challenge = asked(keeper.receive_request(request(PUBLIC), 0.0))
    header = Phone().authorization(challenge)
    assert keeper.receive_request(request(PUBLIC, Authorization=header), 0.0) == Accept(PUBLIC, user="anna")


def test_the_same_password_message_is_worth_nothing_from_anybody_the_second_time() -> None:
    keeper = guard(users=USERS, strangers="nobody")
    header = Phone().authorization(asked(keeper.receive_request(request(PUBLIC), 0.0)))
    assert isinstance(keeper.receive_request(request(PUBLIC, Authorization=header), 0.0), Accept)
    for source in (PUBLIC, OTHER):
        assert "stale=true" in asked(keeper.receive_request(request(source, Authorization=header), 0.0))
    assert keeper.refused[Reason.STALE] == 2


def test_guessing_passwords_ends_after_ten_tries() -> None:
    keeper = guard(users=USERS, tries=10)
    answers = []
    challenge = asked(keeper.receive_request(request(PUBLIC, "REGISTER"), 0.0))
    for guess in range(20):
        header = Phone(password=str(guess)).authorization(challenge, "REGISTER")
        verdict = keeper.receive_request(request(PUBLIC, "REGISTER", Authorization=header), 0.0)
        answers.append(verdict)
        if isinstance(verdict, Answer):
            challenge = asked(verdict)
    assert sum(isinstance(one, Answer) for one in answers) == 9
    assert answers[-1] == Drop(Reason.TRIES, 600.0)


def test_wrong_passwords_and_wrong_names_get_the_same_answer() -> None:
    keeper = guard(users=USERS)
    found = []
    for phone in (Phone(password="wrong"), Phone(username="nobody")):
        challenge = asked(keeper.receive_request(request(PUBLIC), 0.0))
        header = phone.authorization(challenge)
        verdict = keeper.receive_request(request(PUBLIC, Authorization=header), 0.0)
        found.append(asked(verdict).replace(challenge[40:120], ""))
        assert "stale" not in asked(verdict)
    assert keeper.refused[Reason.PASSWORD] == 2


def test_calls_by_password_cost_no_tries() -> None:
    keeper = guard(users=USERS, tries=3, requests_per_s=100.0)
    for _ in range(20):
        challenge = asked(keeper.receive_request(request(PUBLIC), 0.0))
        header = Phone().authorization(challenge)
        assert isinstance(keeper.receive_request(request(PUBLIC, Authorization=header), 0.0), Accept)


def register(keeper: Guard, contact: str, expires: str = "") -> Verdict:
    challenge = asked(keeper.receive_request(request(PRIVATE, "REGISTER"), 0.0))
    header = Phone().authorization(challenge, "REGISTER")
    message = request(PRIVATE, "REGISTER", Authorization=header, Contact=contact, Expires=expires)
    return keeper.receive_request(message, 0.0)


def test_registering_is_answered_and_nothing_more() -> None:
    keeper = guard(users=USERS)
    verdict = register(keeper, "<sip:anna@192.168.1.20:5060>;expires=120;q=0.5")
    assert verdict == Answer(200, None, (("Contact", "<sip:anna@192.168.1.20:5060>;q=0.5;expires=120"),))
    assert register(keeper, "<sip:anna@192.168.1.20>", "99999") == Answer(
        200, None, (("Contact", "<sip:anna@192.168.1.20>;expires=3600"),)
    )
    assert register(keeper, "*", "0") == Answer(200, None)


def test_who_has_registered_is_asked_for_the_password_where_strangers_are_not() -> None:
    keeper = guard(users=USERS)
    assert codes(keeper, 1, request(PRIVATE)) == [200]
    register(keeper, "<sip:anna@192.168.1.20>", "60")
    header = Phone().authorization(asked(keeper.receive_request(request(PRIVATE), 1.0)))
    assert keeper.receive_request(request(PRIVATE, Authorization=header), 1.0) == Accept(PRIVATE, user="anna")
    assert codes(keeper, 1, request(PRIVATE, port=5070), now=1.0) == [200], "the neighbour's telephone"
    assert codes(keeper, 1, request(PRIVATE), now=60.0) == [200], "the login is over"


def test_datagrams_in_the_name_of_a_user_do_not_ban_him() -> None:
    keeper = guard(users=USERS, tries=10)
    register(keeper, "<sip:anna@192.168.1.20>", "600")
    forged = request(PRIVATE, "BYE", port=666, stray=True)
    assert codes(keeper, 20, forged, now=1.0)[-5:] == [0] * 5
    assert keeper.receive_request(forged, 1.0) == Drop(Reason.TRIES)
    scan = request(PRIVATE, "OPTIONS", port=666, User_Agent="friendly-scanner")
    assert keeper.receive_request(scan, 1.0) == Drop(Reason.SCANNER)
    header = Phone().authorization(asked(keeper.receive_request(request(PRIVATE), 2.0)))
    assert keeper.receive_request(request(PRIVATE, Authorization=header), 2.0) == Accept(PRIVATE, user="anna")


def test_his_connections_and_his_guesses_do_and_so_does_all_of_it_when_the_login_is_over() -> None:
    keeper = guard(users=USERS, tries=10)
    register(keeper, "<sip:anna@192.168.1.20>", "60")
    challenge = asked(keeper.receive_request(request(PRIVATE), 1.0))
    by_tcp = request(PRIVATE, "BYE", stray=True, transport="TCP")
    codes(keeper, 20, by_tcp, now=1.0)
    assert keeper.receive_request(by_tcp, 1.0) == Drop(Reason.TRIES, 600.0)
    wrong = request(PRIVATE, Authorization=Phone(password="guess").authorization(challenge))
    assert keeper.receive_request(wrong, 1.0) == Drop(Reason.TRIES)
    codes(keeper, 20, request(PRIVATE, "BYE", stray=True), now=60.0)
    assert keeper.receive_request(request(PRIVATE, "BYE", stray=True), 60.0) == Drop(Reason.TRIES, 600.0)


def test_without_users_nobody_registers() -> None:
    assert codes(guard(), 1, request(PRIVATE, "REGISTER")) == [403]


# Calls of others


def test_only_a_calls_own_trunk_speaks_in_it_from_elsewhere() -> None:
    keeper = guard(tries=2)
    assert keeper.receive_foreign(TRUNK, "carrier", 0.0) == Accept(TRUNK, "carrier")
    assert keeper.receive_foreign(TRUNK, "", 0.0) == Answer(481, Reason.FOREIGN)
    found = [keeper.receive_foreign(PUBLIC, "carrier", 0.0) for _ in range(3)]
    assert found == [Answer(481, Reason.FOREIGN)] * 2 + [Drop(Reason.TRIES, 600.0)]


def test_nothing_that_a_stranger_sends_is_kept_for_ever() -> None:
    keeper = guard(users=USERS)
    for host in range(12_000):
        keeper.receive_request(request(f"203.0.{host // 250}.{host % 250}"), 0.0)
    assert len(keeper._tries._by_client) <= 10_000
    assert not keeper._logins


def test_baresip_of_debian_12_is_asked_for_md5_alone() -> None:
    keeper = guard(strangers="nobody", users={"anna": "secret"})
    verdicts = [keeper.receive_request(request(PUBLIC, User_Agent=one), 0.0) for one in ("baresip v1.0.0", "Zoiper")]
    assert [len(one.headers) for one in verdicts if isinstance(one, Answer)] == [1, 2]


# An edge before us

EDGE = "10.0.0.1"


def behind_an_edge(**settings: object) -> Guard:
    return guard(edges=(ip_network("10.0.0.0/30"),), **settings)


def test_an_edge_says_whose_request_it_passes_on() -> None:
    told = request(EDGE, X_Parley_Source=TRUNK).head
    assert behind_an_edge().origin(EDGE, told) == TRUNK
    assert behind_an_edge().origin(EDGE, request(EDGE).head) == EDGE
    assert behind_an_edge().origin(EDGE, request(EDGE, X_Parley_Source="nonsense").head) == EDGE


def test_nobody_else_can_say_so() -> None:
    told = request(PUBLIC, X_Parley_Source=TRUNK).head
    assert behind_an_edge().origin(PUBLIC, told) == PUBLIC
    assert guard().origin(EDGE, request(EDGE, X_Parley_Source=TRUNK).head) == EDGE


def test_the_edges_own_pings_are_not_limited() -> None:
    keeper = behind_an_edge(requests_per_s=1)
    assert codes(keeper, 50, request(EDGE, "OPTIONS")) == [200] * 50
