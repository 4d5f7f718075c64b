# SPDX-License-Identifier: GPL-3.0-or-later
"""Recognition against messages that its vendors document (tests/agent/clients/data, each with its source): what they
send is understood, and our simulators send nothing that they do not."""

import json
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from agent.clients.assemblyai import AssemblyAiDialect
from agent.clients.hosted_stt import Listening
from agent.clients.settings import ServiceSettings
from agent.clients.stt_dialect import Failed, Hypothesis, Ready
from tests.simulators.assemblyai import AssemblyAiServer
from tests.simulators.deepgram import DeepgramServer

DATA = Path(__file__).parent / "data"
WORDS = ["Good", "morning."]
SOUND = b"\x00\x10" * 16_000


def documented(name: str) -> Any:
    return json.loads((DATA / name).read_text(encoding="utf-8"))


async def said_by(url: str, key: str, order: str, last: str) -> list[dict[str, Any]]:
    """What a simulator answers to a second of sound and an order, until a message has that field set."""
    async with connect(url, additional_headers={"Authorization": key}) as connection:
        for begin in range(0, len(SOUND), 3200):
            await connection.send(SOUND[begin : begin + 3200])
        await connection.send(json.dumps({"type": order}))
        said: list[dict[str, Any]] = []
        while not said or said[-1].get(last) is not True:
            said.append(json.loads(await connection.recv()))
        return said


def test_the_documented_session_of_assemblyai_is_understood() -> None:
    found = documented("assemblyai/messages.json")
    dialect = AssemblyAiDialect(ServiceSettings(name="ears", api_key="k"), Listening(8000))
    assert dialect.receive(json.dumps(found["Begin"])) == (Ready(),)
    assert dialect.receive(json.dumps(found["Turn"])) == (Hypothesis("hi my"),)
    (failed,) = dialect.receive(json.dumps(found["Error"]))
    assert isinstance(failed, Failed)
    assert failed.error.retryable


async def test_the_simulator_of_assemblyai_says_only_what_is_documented() -> None:
    found = documented("assemblyai/messages.json")
    async with AssemblyAiServer(WORDS) as server:
        url = f"{server.url}/v3/ws?sample_rate=16000&speech_model=m&format_turns=true"
        begin, *turns = await said_by(url, server.key, "ForceEndpoint", "turn_is_formatted")
    assert begin.keys() == found["Begin"].keys()
    for turn in turns:
        assert found["Turn"].keys() - turn.keys() <= {"utterance"}
        assert turn.keys() <= found["Turn"].keys()
        assert all(word.keys() == found["Turn"]["words"][0].keys() for word in turn["words"])


async def test_the_simulator_of_deepgram_says_only_what_is_documented() -> None:
    found = documented("deepgram/results_fields.json")
    async with DeepgramServer(WORDS) as server:
        url = f"{server.url}/v1/listen?model=nova-3&encoding=linear16&sample_rate=16000"
        said = await said_by(url, f"Token {server.key}", "Finalize", "from_finalize")
    for results in said:
        assert results.keys() == set(found["Results"])
        (alternative,) = results["channel"]["alternatives"]
        assert alternative.keys() <= set(found["alternative"])
        assert alternative["words"]
        assert all(word.keys() <= set(found["word"]) for word in alternative["words"])
