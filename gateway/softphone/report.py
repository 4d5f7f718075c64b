# SPDX-License-Identifier: GPL-3.0-or-later
"""What the softphone tells: words heard, response times, RTP counts, expectations."""

import json
import re
from dataclasses import dataclass

from agent.services import SpeechToText, Transcript
from gateway.softphone.call import Outcome
from gateway.softphone.spurts import Spurt

_OVER_MS = 25_000
"""Longest stretch given to speech recognition at once."""


@dataclass(frozen=True, slots=True)
class HeardTurn:
    """One prompt and its answer in words."""

    said: str
    response_ms: float | None
    heard: str


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a call."""

    outcome: Outcome
    greeting: str
    turns: tuple[HeardTurn, ...]
    missed: tuple[str, ...]
    """Expectations that were not met."""

    @property
    def worked(self) -> bool:
        """Answered, every prompt brought an answer, and every expectation was met."""
        answered_all = all(turn.response_ms is not None for turn in self.turns if not turn.said.startswith("dtmf "))
        return self.outcome.answered and answered_all and not self.missed

    def as_json(self) -> str:
        """One JSON object, as INTERFACES.md has it and a little more."""
        outcome, quality = self.outcome, self.outcome.quality
        return json.dumps(
            {
                "answered": outcome.answered,
                "worked": self.worked,
                "codec": outcome.codec,
                "srtp": outcome.srtp,
                "greeting": self.greeting,
                "turns": [
                    {"said": turn.said, "response_ms": turn.response_ms, "heard": turn.heard} for turn in self.turns
                ],
                "missed": list(self.missed),
                "digits": outcome.digits,
                "end": {
                    "code": outcome.code,
                    "reason": outcome.reason,
                    "by": "peer" if outcome.ended_by_peer else "us",
                },
                "rtp": {
                    "rx_packets": quality.rx_packets,
                    "rx_lost": quality.rx_lost,
                    "rx_jitter_ms": round(quality.rx_jitter_ms, 2),
                    "tx_packets": quality.tx_packets,
                    "tx_lost": quality.tx_lost,
                    "rtt_ms": round(quality.rtt_ms, 2),
                    "tx_redundant": quality.tx_redundant,
                    "tx_generations": quality.tx_generations,
                    "tx_reported_loss": round(quality.tx_reported_loss, 4),
                    **outcome.uplink,
                },
            }
        )

    def as_text(self) -> str:
        """The same for people."""
        outcome, quality = self.outcome, self.outcome.quality
        if not outcome.answered:
            return f"not answered: {outcome.code} {outcome.reason}"
        protection = ", SRTP" if outcome.srtp else ""
        lines = [f"answered, {outcome.codec}{protection}"]
        if self.greeting:
            lines.append(f"  greeting: {self.greeting}")
        for turn in self.turns:
            lines.append(f"  said:     {turn.said}")
            lines.append(f"  heard:    {turn.heard or '-'} ({_when(turn.response_ms)})")
        if outcome.digits:
            lines.append(f"  keys heard: {outcome.digits}")
        lines.append(
            f"  RTP: {quality.rx_packets} packets in, {quality.rx_lost} lost, "
            f"jitter {quality.rx_jitter_ms:.1f} ms; {quality.tx_packets} out"
        )
        lines += [f"  expected but not heard: {pattern}" for pattern in self.missed]
        return "\n".join(lines)


def _when(response_ms: float | None) -> str:
    if response_ms is None:
        return "no answer"
    if response_ms < 0:
        return "while we were speaking"
    return f"after {response_ms:.0f} ms"


async def transcribe(outcome: Outcome, stt: SpeechToText, expectations: list[re.Pattern[str]]) -> Report:
    """Turn what was heard into words and hold it against the expectations."""
    greeting = await _words(outcome.greeting, stt)
    turns = [HeardTurn(turn.label, turn.response_ms, await _words(turn.spurts, stt)) for turn in outcome.turns]
    everything = " ".join([greeting, *(turn.heard for turn in turns)])
    missed = tuple(pattern.pattern for pattern in expectations if not pattern.search(everything))
    return Report(outcome, greeting, tuple(turns), missed)


async def _words(spurts: list[Spurt], stt: SpeechToText) -> str:
    texts = [await _transcript(spurt, stt) for spurt in spurts]
    return " ".join(text for text in texts if text)


async def _transcript(spurt: Spurt, stt: SpeechToText) -> str:
    stream = await stt.open(sample_rate_hz=spurt.sample_rate_hz, on_partial=_ignore)
    step = spurt.sample_rate_hz * _OVER_MS // 1000
    texts = []
    try:
        for begin in range(0, len(spurt.samples), step):
            stream.push(spurt.samples[begin : begin + step])
            texts.append((await stream.final()).text)
            stream.next_turn(0)
    finally:
        await stream.aclose()
    return " ".join(texts)


def _ignore(_: Transcript) -> None:
    """Only the final words matter here."""
