# SPDX-License-Identifier: GPL-3.0-or-later
"""From arguments to an exit code: 0 the call worked and every expectation was met, 1 it did not, 2 bad usage."""

import argparse
import asyncio
import random
import sys
from pathlib import Path

import numpy as np

from agent.errors import AgentError
from agent.local.engines import OfflineEngines
from agent.speakable import speakable
from gateway.errors import BadAddress, CallError, StartupError
from gateway.sip.endpoint import SipEndpoint
from gateway.sip.settings import EndpointSettings, Fec, MediaSettings
from gateway.sip.uri import SipUri, UriError
from gateway.softphone.call import Outcome, Prompt, SoftphoneCall
from gateway.softphone.report import Report, transcribe
from media.errors import AudioFileError
from media.keys import KeyMethod
from media.ports import PcmHub
from media.wav import read_wav, write_wav

_RTP_PORTS = range(40000, 49800, 2)
_RTP_PORT_COUNT = 200
_FEC: dict[str, Fec] = {"on": True, "off": False, "always": "always"}


def main(args: argparse.Namespace) -> int:
    """Carry out `parley softphone`; the exit code."""
    try:
        report = asyncio.run(_call(args))
    except (AudioFileError, UriError, BadAddress) as fault:
        print(f"parley softphone: {fault}", file=sys.stderr)
        return 2
    except (StartupError, CallError, AgentError) as fault:
        print(f"parley softphone: {fault}", file=sys.stderr)
        return 1
    print(report.as_json() if args.json else report.as_text())
    return 0 if report.worked else 1


async def _call(args: argparse.Namespace) -> Report:
    uri = _target(args.uri, args.transport)
    recordings = {text: read_wav(Path(text)) for kind, text in args.prompts if kind == "play"}
    engines = await OfflineEngines.load(args.models)
    hub = PcmHub()
    try:
        prompts = [
            Prompt(text, *recordings[text]) if kind == "play" else await _say(engines, text)
            for kind, text in args.prompts
        ]
        outcome = await _carry_out(hub, uri, prompts, args)
        if args.record is not None and outcome.recording:
            _write_recording(args.record, outcome)
        return await transcribe(outcome, engines.stt, args.expect)
    finally:
        hub.close()
        await engines.aclose()


async def _carry_out(hub: PcmHub, uri: str, prompts: list[Prompt], args: argparse.Namespace) -> Outcome:
    method = None if args.dtmf_method == "auto" else KeyMethod(args.dtmf_method)
    call = SoftphoneCall(hub, gap_ms=args.gap_ms, keep_audio=args.record is not None, dtmf_method=method)
    endpoint = SipEndpoint(_settings(args), call.receive)
    await endpoint.start()
    hub.start(asyncio.get_running_loop())
    try:
        return await call.run(endpoint, uri, prompts, digits=args.dtmf or "", duration_s=args.duration)
    finally:
        await endpoint.close()


def _settings(args: argparse.Namespace) -> EndpointSettings:
    port = random.choice(_RTP_PORTS)
    codecs = (args.codec,) if args.codec else ("opus", "g722", "pcmu", "pcma", "l16")
    bind = "" if args.bind == "0.0.0.0" else args.bind
    return EndpointSettings(
        bind=args.bind,
        port=0,
        transports=(args.transport,),
        tls_port=0,
        # Anywhere in the range: PJSIP tries a hundred ports from the first one, and several softphones may run at once.
        media=MediaSettings(port, port + _RTP_PORT_COUNT, bind, "", "required" if args.srtp else "off", _FEC[args.fec]),
        codecs=codecs,
        max_calls=4,
        user_agent="Parley softphone",
    )


def _target(text: str, transport: str) -> str:
    uri = SipUri.parse(text if ":" in text else f"sip:{text}")
    if transport == "udp" or "transport=" in uri.parameters:
        return str(uri)
    return f"{uri};transport={transport}"


async def _say(engines: OfflineEngines, text: str) -> Prompt:
    chunks = [chunk async for chunk in engines.tts.synthesize(speakable(text))]
    samples = np.concatenate([chunk.samples for chunk in chunks])
    return Prompt(text, samples, chunks[0].sample_rate_hz)


def _write_recording(path: Path, outcome: Outcome) -> None:
    rate_hz = outcome.recording[0].sample_rate_hz
    frames = [frame.samples for frame in outcome.recording if frame.sample_rate_hz == rate_hz]
    write_wav(path, np.concatenate(frames), rate_hz)
