# SPDX-License-Identifier: GPL-3.0-or-later
"""The command: scenarios in, calls made, a report and an exit code out."""

import argparse
import asyncio
import contextlib
import os
import random
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np

from agent.errors import AgentError
from agent.local.engines import OfflineEngines
from gateway.errors import BadAddress, CallError, StartupError
from gateway.evaluation.caller import CallLog, ScriptedCaller
from gateway.evaluation.checks import CallOutcome, check
from gateway.evaluation.html import as_html
from gateway.evaluation.outcome import outcome_of
from gateway.evaluation.report import Result, Waveforms, as_json, as_text
from gateway.evaluation.scenario import Scenario, load_scenario
from gateway.evaluation.speech import render, render_background
from gateway.evaluation.target import Target, started
from gateway.evaluation.timeline import Heard
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.events import SipEvent
from gateway.sip.settings import EndpointSettings, MediaSettings
from gateway.sip.uri import SipUri, UriError
from media.errors import AudioFileError
from media.frames import PcmSamples
from media.ports import PcmHub
from media.resample import resample

_RTP_PORTS = range(40000, 49800, 2)
_RTP_PORT_COUNT = 200


def main(options: argparse.Namespace) -> int:
    """Carry out `parley eval`; the exit code. Raises `ConfigError` for files that cannot be used."""
    scenarios = [load_scenario(path) for path in options.scenarios]
    if options.repeat is not None:
        if not 1 <= options.repeat <= 1000:
            print("parley: --repeat is 1 to 1000", file=sys.stderr)
            return 2
        scenarios = [scenario.model_copy(update={"repeat": options.repeat}) for scenario in scenarios]
    if options.target is not None:
        try:
            SipUri.parse(options.target)
        except UriError as fault:
            print(f"parley: --target: {fault}", file=sys.stderr)
            return 2
        if any(scenario.wants_record for scenario in scenarios) and not options.api:
            print("parley: what is understood, end_reason and tools are known to --api alone", file=sys.stderr)
            return 2
    try:
        results = asyncio.run(_evaluate(scenarios, options))
    except (AudioFileError, BadAddress) as fault:
        print(f"parley: {fault}", file=sys.stderr)
        return 2
    except (StartupError, CallError, AgentError) as fault:
        print(f"parley: {fault}", file=sys.stderr)
        return 1
    if options.html is not None:
        try:
            options.html.write_text(as_html(results), encoding="utf-8")
        except OSError as error:
            print(f"parley: {options.html}: {error.strerror}", file=sys.stderr)
            return 2
    print(as_json(results) if options.json else as_text(results))
    return 0 if all(result.passed for result in results) else 1


@contextlib.asynccontextmanager
async def _target(options: argparse.Namespace) -> AsyncIterator[Target]:
    if options.target is None:
        async with started(options.config and options.config.resolve()) as target:  # as seen from elsewhere
            yield target
    else:
        yield Target(options.target, options.api or "", options.key or os.environ.get("PARLEY_API_KEY", ""))


async def _evaluate(scenarios: list[Scenario], options: argparse.Namespace) -> list[Result]:
    async with _target(options) as target:
        return await evaluate(scenarios, target, options.models)


async def evaluate(scenarios: list[Scenario], target: Target, models: Path) -> list[Result]:
    """Carry out every scenario, one call after the other. Raises `StartupError`, `CallError`, `AgentError`,
    `AudioFileError`."""
    async with contextlib.AsyncExitStack() as stack:
        engines = await OfflineEngines.load(models)
        stack.push_async_callback(engines.aclose)
        hub = stack.enter_context(contextlib.closing(PcmHub()))
        phone = _Phone(target)
        results = []
        for scenario in scenarios:
            results.append(await _carry_out(scenario, target, engines, hub, phone))
        return results


class _Phone:
    """One SIP endpoint for every codec in turn; PJSIP allows one at a time."""

    def __init__(self, target: Target) -> None:
        uri = SipUri.parse(target.uri)
        self._bind = "127.0.0.1" if uri.host in ("127.0.0.1", "localhost") else "0.0.0.0"

    @contextlib.asynccontextmanager
    async def open(self, codec: str, on_event: Callable[[SipEvent], None]) -> AsyncIterator[SipEndpoint]:
        port = random.choice(_RTP_PORTS)
        bind = "" if self._bind == "0.0.0.0" else self._bind
        settings = EndpointSettings(
            bind=self._bind,
            port=0,
            transports=("udp",),
            tls_port=0,
            media=MediaSettings(port, port + _RTP_PORT_COUNT, bind, "", "off", fec=True),
            codecs=(codec,),
            max_calls=4,
            user_agent="Parley evaluation",
        )
        endpoint = SipEndpoint(settings, on_event)
        await endpoint.start()
        try:
            yield endpoint
        finally:
            await endpoint.close()


async def _carry_out(scenario: Scenario, target: Target, engines: OfflineEngines, hub: PcmHub, phone: _Phone) -> Result:
    speech = {
        index: await render(scenario, step, engines.tts)
        for index, step in enumerate(scenario.step)
        if step.say or step.play is not None
    }
    background = await asyncio.to_thread(render_background, scenario)
    callers: dict[str, ScriptedCaller] = {}

    def receive(event: SipEvent) -> None:
        caller = callers.get(getattr(event, "handle", ""))
        if caller is not None:
            caller.receive(event)

    calls: list[CallOutcome] = []
    waveforms: list[Waveforms] = []
    async with phone.open(scenario.codec, receive) as endpoint:
        hub.start(asyncio.get_running_loop())
        try:
            for _ in range(scenario.repeat):
                caller = ScriptedCaller(hub, scenario, speech, background)
                callers[caller.handle] = caller
                log = await caller.run(endpoint, target.address(scenario.dial), endpoint.address)
                heard = Heard(log.frames)
                record = await target.record(log.caller)
                calls.append(await outcome_of(log, heard, engines.stt, record))
                waveforms.append(_waveforms(log, heard))
        finally:
            hub.close()
    return Result(scenario, tuple(calls), tuple(check(scenario, calls)), tuple(waveforms))


def _waveforms(log: CallLog, heard: Heard) -> Waveforms:
    """Both sides from the answer on."""
    if log.answered_at is None:
        return Waveforms.empty()
    rate_hz = heard.sample_rate_hz
    count = round((log.ended_at - log.answered_at) * rate_hz)
    caller, agent = np.zeros(count, np.int16), np.zeros(count, np.int16)
    for frame in log.frames:
        if frame.sample_rate_hz == rate_hz:
            _put(agent, frame.samples, round((frame.arrived_at - log.answered_at) * rate_hz) - frame.sample_count)
    for done in log.steps:
        said = done.utterance
        if said is not None and said.began_at is not None:
            voice = resample(said.samples, said.sample_rate_hz, rate_hz)
            _put(caller, voice, round((said.began_at - log.answered_at) * rate_hz))
    return Waveforms(rate_hz, caller, agent)


def _put(track: PcmSamples, samples: PcmSamples, at: int) -> None:
    first, last = max(0, at), min(len(track), at + len(samples))
    if first < last:
        track[first:last] = samples[first - at : last - at]
