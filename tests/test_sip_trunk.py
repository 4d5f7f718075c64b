# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated trunk is only worth something when it behaves itself, whatever the caller does, and tells the truth."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

import numpy as np
import pytest

from media.tones import tone
from tests.mulaw import mu_law
from tests.simulators.sip_trunk_behaviour import DEFAULT_MIX, Behaviour, Numbers, parse_mix, parse_table
from tests.simulators.sip_trunk_call import CallState, Course, EndedBy, TrunkCall
from tests.simulators.sip_trunk_media import PACKET_S, Hearing, MediaLine
from tests.simulators.sip_trunk_message import Offer, SipMessage
from tests.simulators.sip_trunk_script import Manner, script
from tests.simulators.sip_trunk_sounds import Sound, TrunkSounds
from tests.simulators.sip_trunk_truth import Truth

_SOURCE = ("127.0.0.1", 5060)
_QUIET = mu_law(np.zeros(160, np.int16))
_LOUD = mu_law(tone((500.0,), 20, 8000))
_SAID, _TONE = [Sound("said", _LOUD * 25)], Sound("tone", _LOUD * 25)
_SOUNDS = TrunkSounds(
    *(_SAID, _SAID, _SAID, _SAID),
    greetings=_SAID,
    beeps=_SAID,
    out_of_service=_SAID,
    information_tones=_TONE,
    fax=_TONE,
    ringback=_TONE,
    busy_tone=_TONE,
    noise=_QUIET * 50,
)
"""Half a second each."""


class Caller:
    """Speaks SIP to one call, in a time of its own."""

    def __init__(self, behaviour: Behaviour, *, media: str = "RTP/AVP 0") -> None:
        self.now = 100.0
        self.sent: list[SipMessage] = []
        self.line = MediaLine("127.0.0.1", 1)
        self._body = f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 {media}\r\n"
        course = Course("+14155550100", 1, behaviour.value, script(behaviour, _SOUNDS, Random(1), Manner()))
        invite = self.request("INVITE", body=self._body)
        contact = "<sip:trunk@127.0.0.1:5090>"
        self.call = TrunkCall(invite, _SOURCE, course, self.line, _SOUNDS.noise, contact, self._take, self.now)

    def _take(self, data: bytes, _: tuple[str, int]) -> None:
        self.sent.append(SipMessage.parse(data))

    def request(self, method: str, *, tag: str = "", sequence: int = 1, body: str = "") -> SipMessage:
        to = "<sip:+14155550100@127.0.0.1>" + (f";tag={tag}" if tag else "")
        return SipMessage.parse(
            (
                f"{method} sip:+14155550100@127.0.0.1 SIP/2.0\r\n"
                "v: SIP/2.0/UDP 127.0.0.1:5060;rport;branch=z9hG4bKa\r\n"
                f"f: <sip:us@127.0.0.1>;tag=us\r\nt: {to}\r\ni: one\r\nCSeq: {sequence} {method}\r\n"
                f"m: <sip:us@127.0.0.1:5060>\r\n\r\n{body}"
            ).encode()
        )

    def ask(self, method: str, *, sequence: int = 1, body: str = "") -> list[int]:
        """Codes of the responses to a request inside the call."""
        before = len(self.sent)
        tag = "" if method == "CANCEL" else self.sent[-1].to_tag
        self.call.receive(self.request(method, tag=tag, sequence=sequence, body=body), _SOURCE, self.now)
        return [message.code for message in self.sent[before:]]

    def invite_again(self) -> list[int]:
        before = len(self.sent)
        self.call.receive(self.request("INVITE", body=self._body), _SOURCE, self.now)
        return [message.code for message in self.sent[before:]]

    def listen(self, seconds: float, *, says: bytes = _QUIET) -> None:
        """Let time go by; what we say meanwhile."""
        for _ in range(round(seconds / PACKET_S)):
            if not self.call.is_over:
                self.line.heard_at = self.now
                self.line.hearing.receive(says, self.now)
            self.call.handle_tick(self.now)
            self.now += PACKET_S

    def until(self, state: CallState, seconds: float = 60.0) -> None:
        end = self.now + seconds
        while self.call.state is not state:
            assert self.now < end, self.codes
            self.listen(PACKET_S)

    @property
    def codes(self) -> list[int]:
        """Of everything that came; 0: a request."""
        return [message.code for message in self.sent]


@pytest.fixture
def person() -> Iterator[Caller]:
    caller = Caller(Behaviour.PERSON_PLAIN)
    yield caller
    caller.call.close()


def test_a_person_says_hello_listens_replies_and_hangs_up(person: Caller) -> None:
    person.until(CallState.ANSWERED)
    assert person.codes == [100, 180, 200]
    person.ask("ACK")
    for _ in range(6):
        person.listen(2.0)
        person.listen(1.0, says=_LOUD)
    person.until(CallState.ENDED)
    assert person.sent[-1].start.startswith("BYE sip:us@127.0.0.1:5060")
    assert (person.call.ended_by, person.call.code) == (EndedBy.CALLEE, 200)
    assert person.call.played["hello"] == "said"


def test_a_call_that_is_cancelled_while_it_rings_is_over_once(person: Caller) -> None:
    person.listen(0.2)
    assert person.ask("CANCEL") == [200, 487]
    assert person.ask("CANCEL") == [200]
    assert (person.call.ended_by, person.call.code) == (EndedBy.CALLER, 487)
    person.listen(1.0)
    assert person.codes[-1] == 487, "is told again while nobody acknowledges it"
    person.ask("ACK")
    assert person.call.is_at_rest


def test_an_invite_that_comes_again_gets_the_same_answer(person: Caller) -> None:
    assert person.invite_again() == [180]
    person.until(CallState.ANSWERED)
    assert person.invite_again() == [200]
    assert person.sent[-1] == person.sent[-2]


def test_an_answer_is_told_until_it_is_acknowledged(person: Caller) -> None:
    person.until(CallState.ANSWERED)
    person.listen(2.0)
    assert person.codes.count(200) == 3  # at once, after 0.5 and 1.5 s (RFC 3261 section 13.3.1.4)
    person.ask("ACK")
    person.listen(4.0)
    assert person.codes.count(200) == 3


def test_a_caller_that_never_acknowledges_is_lost(person: Caller) -> None:
    person.until(CallState.ANSWERED)
    person.until(CallState.ENDED, 12.0)
    assert person.call.ended_by is EndedBy.LOST
    person.listen(12.0)
    assert person.call.is_at_rest, "nobody answers its BYE"


def test_a_caller_whose_packets_stop_is_lost(person: Caller) -> None:
    person.until(CallState.ANSWERED)
    person.ask("ACK")
    person.listen(1.0, says=_LOUD)
    for _ in range(round(11.0 / PACKET_S)):
        person.call.handle_tick(person.now)
        person.now += PACKET_S
    assert person.call.ended_by is EndedBy.LOST


def test_a_renegotiation_is_answered_and_hold_stops_the_audio(person: Caller) -> None:
    person.until(CallState.ANSWERED)
    person.ask("ACK")
    held = "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 9 RTP/AVP 0\r\na=sendonly\r\n"
    assert person.ask("INVITE", sequence=2, body=held) == [200]
    assert "a=recvonly" in person.sent[-1].body
    assert person.ask("INVITE", sequence=2, body=held) == [200]
    person.ask("ACK", sequence=2)
    before = person.call.packets["sent"]
    person.listen(0.2)
    assert person.call.packets["sent"] == before
    assert person.ask("UPDATE", sequence=3) == [200]
    assert person.ask("BYE", sequence=4) == [200]
    assert person.ask("BYE", sequence=4) == [200], "of a call that is over"
    assert person.ask("INVITE", sequence=5, body=held) == [481]


def test_an_offer_without_pcmu_is_refused() -> None:
    caller = Caller(Behaviour.PERSON_PLAIN, media="RTP/SAVP 0")
    assert caller.codes == [100, 488]
    assert caller.call.is_over


@pytest.mark.parametrize(
    ("behaviour", "codes"),
    [
        (Behaviour.BUSY_PLAIN, [100, 486]),
        (Behaviour.BUSY_TONE, [100, 183, 486]),
        (Behaviour.DEAD_PLAIN, [100, 404]),
        (Behaviour.DEAD_EARLY, [100, 183, 404]),
        (Behaviour.CONGESTION_PLAIN, [100, 503]),
        (Behaviour.REJECTED_PLAIN, [100, 603]),
        (Behaviour.NO_ANSWER_PLAIN, [100, 180, 480]),
    ],
)
def test_who_does_not_answer_says_why(behaviour: Behaviour, codes: Sequence[int]) -> None:
    caller = Caller(behaviour)
    caller.until(CallState.ENDED, 120.0)
    assert (caller.codes, caller.call.ended_by) == (codes, EndedBy.CALLEE)


@pytest.mark.parametrize("behaviour", [Behaviour.MACHINE_PLAIN, Behaviour.MACHINE_EARLY])
def test_the_truth_tells_when_a_message_began_after_the_beep(behaviour: Behaviour) -> None:
    caller = Caller(behaviour)
    while "greeting" not in caller.call.marks:
        caller.listen(PACKET_S)
    caller.listen(0.2, says=_LOUD)
    while "beep" not in caller.call.marks:
        caller.listen(PACKET_S)
        if caller.call.state is CallState.ANSWERED and "acknowledged" not in caller.call.times:
            caller.ask("ACK")
    caller.listen(0.5 - PACKET_S + 0.4)
    caller.listen(2.0, says=_LOUD)
    caller.until(CallState.ENDED)
    truth = Truth(None)
    truth.tell_end(caller.call)
    (line,) = truth.lines
    assert (line["behaviour"], line["ended_by"]) == (behaviour.value, "callee")
    assert line["message_after_beep_ms"] == pytest.approx(400, abs=40)
    assert line["message_ms"] == pytest.approx(2000, abs=60)


def test_the_truth_tells_when_our_first_words_came(person: Caller) -> None:
    while person.call.marks.get("hello") is None:
        person.listen(PACKET_S)
    person.listen(0.5 - PACKET_S + 0.3)
    person.listen(1.0, says=_LOUD)
    person.call.receive(person.request("BYE", tag="x", sequence=2), _SOURCE, person.now)
    truth = Truth(None)
    truth.tell_end(person.call)
    assert truth.lines[0]["first_words_ms"] == pytest.approx(300, abs=40)


def test_a_click_is_no_speech_and_a_short_pause_no_end() -> None:
    hearing = Hearing()
    for index, payload in enumerate([_LOUD] * 2 + [_QUIET] * 5 + [_LOUD] * 10 + [_QUIET] * 20 + [_LOUD] * 10):
        hearing.receive(payload, index * PACKET_S)
    (said,) = hearing.utterances
    assert (round(said.begun_at, 2), round(said.ended_at, 2)) == (0.14, 0.92)


def test_a_number_is_the_same_whenever_it_is_dialled() -> None:
    numbers, others = (Numbers(seed, parse_mix(DEFAULT_MIX)) for seed in (1, 2))
    drawn = [numbers.behaviour(f"+1415555{index:04}", 1) for index in range(2000)]
    assert drawn == [numbers.behaviour(f"+1415555{index:04}", 1) for index in range(2000)]
    assert drawn != [others.behaviour(f"+1415555{index:04}", 1) for index in range(2000)]
    kinds = Counter(behaviour.kind for behaviour in drawn)
    assert kinds["person"] == pytest.approx(1000, abs=100)
    assert kinds["fax"] == pytest.approx(60, abs=30)


def test_who_was_busy_may_be_there_the_next_time_but_a_fax_remains_one() -> None:
    numbers = Numbers(1, parse_mix("person=50,busy=40,fax=10"))
    later = {kind: Counter[str]() for kind in ("person", "busy", "fax")}
    for index in range(500):
        number = f"+1415555{index:04}"
        later[numbers.behaviour(number, 1).kind][numbers.behaviour(number, 3).kind] += 1
    assert set(later["person"]) == {"person"}
    assert set(later["fax"]) == {"fax"}
    assert set(later["busy"]) == {"person", "busy", "fax"}


def test_a_table_tells_a_number_s_behaviour_at_each_attempt() -> None:
    numbers = Numbers(1, parse_mix("fax=1"), parse_table(["+14155550100,busy,machine_early", ""]))
    seen = [numbers.behaviour("+14155550100", attempt) for attempt in (1, 2, 3)]
    assert seen == [Behaviour.BUSY_PLAIN, Behaviour.MACHINE_EARLY, Behaviour.MACHINE_EARLY]
    assert numbers.behaviour("+14155550199", 1) is Behaviour.FAX_PLAIN
    with pytest.raises(ValueError, match="no behaviour 'dog'"):
        parse_mix("person=1,dog=2")


@pytest.mark.parametrize(
    "data",
    [b"", b"\r\n\r\n", b"\x00" * 40, b"INVITE sip:x SIP/2.0\r\n\r\n", b"SIP/2.0 200 OK\r\nVia: x\r\nCSeq: x\r\n\r\n"],
)
def test_what_is_no_message_is_refused_by_name(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        SipMessage.parse(data)


def test_a_description_tells_where_pcmu_may_be_sent() -> None:
    body = "v=0\r\nc=IN IP4 10.0.0.1\r\nm=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
    assert Offer.parse(body) == Offer(("10.0.0.1", 4000), 101, is_held=False)
    assert Offer.parse(re.sub(r" 0 ", " 9 ", body.replace("AVP 8 0", "AVP 8 9"))) is None
