# SPDX-License-Identifier: GPL-3.0-or-later
"""What an rtpengine 10.5 has really said, and what is read in it."""

from gateway.edge.relay_statistics import RelayStatistics, StreamQuality, call_ids, qualities
from gateway.edge.rtpengine_ng import Value, decode

_STATISTICS = decode(
    b"d6:result2:ok10:statisticsd17:currentstatisticsd13:sessionstotali7e15:transcodedmediai2ee"
    b"15:totalstatisticsd6:uptime2:6115:timeoutsessionsi1e14:relayedpacketsi1330e19:relayedpacketerrorsi3e"
    b"13:onewaystreamsi4eeee"
)


def _stream(ssrc: int, address: bytes, *flags: Value) -> Value:
    return {b"SSRC": ssrc, b"local address": address, b"flags": [*flags, b"filled"]}


def _tag(ssrc: int, address: bytes) -> Value:
    streams: list[Value] = [_stream(ssrc, address, b"RTP"), _stream(ssrc, address, b"RTCP")]
    return {b"medias": [{b"index": 1, b"streams": streams}]}


def _told(samples: int, loss: int, leg: int) -> Value:
    average: dict[bytes, Value] = {b"MOS": 44, b"jitter": 12, b"packet loss": loss, b"round-trip time": 9}
    return {b"average MOS": average | {b"round-trip time leg": leg, b"samples": samples}}


def test_statistics_are_read() -> None:
    assert isinstance(_STATISTICS, dict)
    assert RelayStatistics.parse(_STATISTICS) == RelayStatistics(
        sessions=7, transcoded=2, packets=1330, errors=3, one_way=4, timeouts=1
    )


def test_what_is_not_told_counts_nothing() -> None:
    assert RelayStatistics.parse({b"result": b"ok"}) == RelayStatistics(0, 0, 0, 0, 0, 0)
    assert call_ids({b"result": b"ok"}) == ()
    assert list(qualities({b"result": b"ok"})) == []


def test_a_report_is_of_the_side_it_comes_from() -> None:
    answer: dict[bytes, Value] = {
        b"tags": {b"caller": _tag(1, b"203.0.113.1"), b"node": _tag(2, b"10.0.0.1")},
        b"SSRC": {b"1": _told(3, 5, 400), b"2": _told(2, 20, 90_000)},
    }
    assert list(qualities(answer)) == [
        StreamQuality("10.0.0.1", 0.0004, 0.05, 0.012),
        StreamQuality("203.0.113.1", 0.09, 0.2, 0.012),
    ]


def test_who_has_reported_nothing_yet_is_left_out() -> None:
    answer: dict[bytes, Value] = {
        b"tags": {b"caller": _tag(1, b"203.0.113.1"), b"node": _tag(2, b"10.0.0.1")},
        b"SSRC": {b"1": _told(0, 0, 0)},
    }
    assert list(qualities(answer)) == []
