# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls through a trunk whose far ends are people, machines, a fax, a dead number: with real audio, all at once."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.simulators.sip_trunk import in_thread
from tests.simulators.sip_trunk_behaviour import Behaviour, Numbers
from tests.simulators.sip_trunk_script import Manner

_NUMBERS = {
    Behaviour.PERSON_HASTY: "+14155550101",
    Behaviour.MACHINE_PLAIN: "+14155550103",
    Behaviour.MACHINE_EARLY: "+14155550104",
    Behaviour.FAX_PLAIN: "+14155550105",
    Behaviour.DEAD_EARLY: "+14155550106",
}
_SEED = 0
"""With which one machine asks for a message, the other does not, and both are brief."""
_SETTINGS = """
[[trunk]]
name = "simulated"
host = "{address}"
match = '\\+\\d+'
[agents.receptionist]
greeting = "Good morning."
[agents.receptionist.far_end]
voicemail = "message"
message = "Please call us back."
"""


@dataclass(frozen=True)
class Ended:
    """One call, as the far end and as our record tell it."""

    truth: dict[str, Any]
    session: dict[str, Any]


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Behaviour, Ended]]:
    folder = tmp_path_factory.mktemp("far-end")
    table = {number: [behaviour] for behaviour, number in _NUMBERS.items()}
    numbers = Numbers(_SEED, {Behaviour.PERSON_HASTY: 1.0}, table)
    with in_thread(numbers, manner=Manner(ring_s=(0.1, 0.2), records_s=6.0)) as trunk:
        with GatewayProcess(folder, _SETTINGS.format(address=trunk.address), record=False) as gateway:
            for number in table:
                gateway.post("/calls", {"to": number, "agent": "receptionist"}).raise_for_status()

            def ends() -> dict[str, dict[str, Any]] | None:
                told = {line["number"]: line for line in list(trunk.truth.lines) if line["event"] == "end"}
                return told if len(told) == len(table) else None

            truths = wait_for(ends, "the end of every call", 40)
            wait_for(lambda: all(one["ended_at"] for one in gateway.sessions()), "the end of every session")
            sessions = {one["to"]: gateway.get(f"/sessions/{one['call_id']}") for one in gateway.sessions()}
        yield {behaviour: Ended(truths[number], sessions[number]) for behaviour, number in _NUMBERS.items()}


def test_a_person_says_hello_and_then_we_greet(calls: dict[Behaviour, Ended]) -> None:
    person = calls[Behaviour.PERSON_HASTY]
    assert person.truth["first_words_ms"] is not None
    assert person.session["far_end"] in ("person", "unknown", None)  # who hangs up at once may do so before the verdict
    ours = [said["text"] for said in person.session["transcript"] if said["role"] == "assistant"]
    assert ours[:1] == ["Good morning."]


@pytest.mark.parametrize("behaviour", [Behaviour.MACHINE_PLAIN, Behaviour.MACHINE_EARLY])
def test_a_machine_records_the_message_after_its_beep(calls: dict[Behaviour, Ended], behaviour: Behaviour) -> None:
    machine = calls[behaviour]
    assert machine.session["far_end"] == "voicemail"
    assert machine.session["far_end_confidence"] > 0.7
    assert machine.session["message_left"]
    assert machine.session["end_reason"] == "voicemail_message"
    assert machine.truth["message_after_beep_ms"] > 0
    assert machine.truth["message_ms"] > 700


def test_a_fax_is_hung_up_on(calls: dict[Behaviour, Ended]) -> None:
    fax = calls[Behaviour.FAX_PLAIN]
    assert (fax.session["far_end"], fax.session["end_reason"]) == ("fax", "fax")
    assert fax.truth["ended_by"] == "caller"
    assert not fax.session["message_left"]


def test_a_number_that_is_none_is_given_up_while_its_announcement_plays(calls: dict[Behaviour, Ended]) -> None:
    dead = calls[Behaviour.DEAD_EARLY]
    assert (dead.session["far_end"], dead.session["end_reason"]) == ("failed", "not_in_service")
    assert dead.session["answered_at"] is None
    assert dead.truth["cancelled_at"] is not None
