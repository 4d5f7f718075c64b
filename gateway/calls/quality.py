# SPDX-License-Identifier: GPL-3.0-or-later
"""How a call sounds: RTCP's counts, our own, and what the E-model makes of them, as one record."""

from dataclasses import asdict

from gateway.calls.uplink import LineReport
from gateway.sip.events import LegQuality
from gateway.store.records import EchoOfUs, Levels, Quality, SpeechLevel
from media.ports import AudioCounters
from media.quality import Reception, Score, percent, score

_PEER_BUFFER_JITTERS = 2.0
"""What a peer's jitter buffer may hold, in multiples of the jitter that it reports: it does not tell."""


def quality_record(
    codec: str,
    sample_rate_hz: int,
    leg: LegQuality,
    counters: AudioCounters,
    line: LineReport | None = None,
    *,
    frame_ms: float = 20.0,
) -> Quality:
    """The record of a call, running or over.

    Lost to our ear is what the network lost or brought too late, less what redundancy brought back. (Frames made up
    would count a caller's silence, too, when he sends none.)
    """
    expected = leg.rx_packets + leg.rx_lost
    lost = max(0, leg.rx_lost + counters.packets_late - counters.packets_recovered)
    heard = peer_heard = None
    if leg.rx_packets:
        delay_ms = leg.rtt_ms / 2 + counters.wait_ms
        heard = score(codec, sample_rate_hz, Reception(expected, lost, leg.rx_gaps, delay_ms))
    if leg.tx_reports:
        delay_ms = leg.rtt_ms / 2 + _PEER_BUFFER_JITTERS * leg.tx_jitter_ms
        peer_heard = score(codec, sample_rate_hz, Reception(leg.tx_packets, leg.tx_lost, 0, delay_ms))
    return Quality(
        rx_packets=leg.rx_packets,
        rx_lost=leg.rx_lost,
        rx_loss_percent=round(percent(leg.rx_lost, expected), 3),
        rx_jitter_ms=round(leg.rx_jitter_ms, 3),
        late=counters.packets_late,
        recovered=counters.packets_recovered,
        duplicates=counters.packets_duplicate,
        concealed_ms=round(counters.frames_concealed * frame_ms),
        tx_packets=leg.tx_packets,
        tx_lost=leg.tx_lost if leg.tx_reports else None,
        tx_loss_percent=round(percent(leg.tx_lost, leg.tx_packets), 3) if leg.tx_reports else None,
        tx_jitter_ms=round(leg.tx_jitter_ms, 3) if leg.tx_reports else None,
        tx_redundant=leg.tx_redundant,
        rtt_ms=round(leg.rtt_ms, 3) or None,
        mos=_mos(heard),
        mos_peer=_mos(peer_heard),
        mos_scale=heard.scale.value if heard is not None else None,
        levels=None if line is None else _levels(line),
    )


def _mos(found: Score | None) -> float | None:
    return None if found is None else round(found.mos, 2)


def _levels(line: LineReport) -> Levels:
    return Levels(
        caller=SpeechLevel(**asdict(line.caller)),
        agent=SpeechLevel(**asdict(line.agent)),
        echo=None if line.echo is None else EchoOfUs(**asdict(line.echo)),
    )
