# SPDX-License-Identifier: GPL-3.0-or-later
"""From a call's log to what is checked and shown: words, response times, the gateway's view of the same moments."""

from collections.abc import Mapping, Sequence
from typing import Any

from agent.services.stt import SpeechToText, Transcript
from gateway.evaluation.caller import CallLog, Done
from gateway.evaluation.checks import CallOutcome, StepOutcome
from gateway.evaluation.timeline import Heard, speech_ended_at
from gateway.softphone.spurts import audible_windows
from media.frames import PcmSamples

_PIECE_S = 25
"""Longest stretch given to speech recognition at once."""
_SLACK_MS = 300
"""Two clocks, and a transcript that begins a little before the utterance."""


async def outcome_of(log: CallLog, heard: Heard, stt: SpeechToText, record: Mapping[str, Any] | None) -> CallOutcome:
    """What is told of one call."""
    answered_at = log.answered_at
    if answered_at is None:
        return CallOutcome(False, "", (), "agent", 0.0, f"{log.code} {log.reason}".strip())
    first_at = log.steps[0].began_at if log.steps else log.ended_at
    greeting = await _words(heard.between(0.0, first_at), heard.sample_rate_hz, stt)
    steps = []
    for done in log.steps:
        words = await _words(heard.between(done.began_at, done.ended_at), heard.sample_rate_hz, stt)
        steps.append(_step(done, heard, answered_at, words, record))
    return CallOutcome(
        True,
        " ".join(text for text in (greeting, *(step.heard for step in steps)) if text),
        tuple(steps),
        "agent" if log.ended_by_peer else "caller",
        round(log.ended_at - answered_at, 2),
        log.reason,
        record,
        greeting,
    )


def _step(done: Done, heard: Heard, answered_at: float, words: str, record: Mapping[str, Any] | None) -> StepOutcome:
    began_ms, ended_ms = (1e3 * (at - answered_at) for at in (done.began_at, done.ended_at))
    said, response_ms, stopped_ms, speech_ended_ms = done.utterance, None, None, None
    if said is not None and said.began_at is not None:
        ended_at = speech_ended_at(said)
        speech_ended_ms = 1e3 * (ended_at - answered_at)
        answer_at = heard.answer_to(said, done.ended_at)
        response_ms = None if answer_at is None else round(1e3 * (answer_at - ended_at), 1)
        if done.step.into_answer_ms is not None:
            silent_at = heard.fell_silent_after(said)
            stopped_ms = None if silent_at is None else round(1e3 * (silent_at - said.began_at), 1)
    understood = None if record is None else _understood(record.get("transcript") or (), began_ms, ended_ms)
    return StepOutcome(
        done.step.label,
        round(began_ms, 1),
        round(ended_ms, 1),
        speech_ended_ms,
        words,
        understood,
        response_ms,
        stopped_ms,
        done.was_in_time,
    )


def _understood(transcript: Sequence[Mapping[str, Any]], began_ms: float, ended_ms: float) -> str:
    """What the caller said in this step, as the gateway has it."""
    texts = (
        str(entry["text"])
        for entry in transcript
        if entry["role"] == "user" and began_ms - _SLACK_MS <= entry["started_ms"] < ended_ms - _SLACK_MS
    )
    return " ".join(texts)


async def _words(samples: PcmSamples, sample_rate_hz: int, stt: SpeechToText) -> str:
    if not any(audible_windows(samples, sample_rate_hz)):
        return ""
    stream = await stt.open(sample_rate_hz=sample_rate_hz, on_partial=_ignore)
    texts = []
    try:
        step = _PIECE_S * sample_rate_hz
        for begin in range(0, len(samples), step):
            stream.push(samples[begin : begin + step])
            texts.append((await stream.final()).text)
            stream.next_turn(0)
    finally:
        await stream.aclose()
    return " ".join(text for text in texts if text)


def _ignore(_: Transcript) -> None:
    """Only the final words matter here."""
