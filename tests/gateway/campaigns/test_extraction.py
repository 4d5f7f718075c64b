# SPDX-License-Identifier: GPL-3.0-or-later
"""What came of a conversation: values that fit their fields, whatever a model writes, and none that nobody said."""

import json
import zlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ServiceUnavailable
from agent.intents import Vectors
from agent.services.llm import Conversation, ReplyEvent, TextDelta
from gateway.campaigns.attempt import AttemptRecord, Extracted
from gateway.campaigns.extraction import Extraction, Extractor, LlmExtraction, RuleExtraction, fitting
from gateway.campaigns.outcome import Outcome
from gateway.campaigns.policy import ExtractField, Policy
from gateway.store import TranscriptEntry, open_store
from gateway.telemetry import Metrics
from tests.gateway.test_store import session

FORM = Policy.model_validate(
    {
        "extract": [
            {"name": "confirmed", "type": "boolean", "question": "Can you come to the appointment?"},
            {"name": "guests", "type": "number", "question": "How many people are you?"},
            {"name": "wish", "type": "text", "question": "What would you like to eat?"},
            {
                "name": "mood",
                "type": "choice",
                "question": "How do they feel about it?",
                "choices": {"happy": ["that is great", "wonderful"], "angry": ["this is a scandal", "leave me alone"]},
            },
        ]
    }
).extract


def said(*turns: str) -> tuple[TranscriptEntry, ...]:
    """The agent's turn, the person's, the agent's..."""
    return tuple(
        TranscriptEntry(role="user" if index % 2 else "assistant", text=text, started_ms=index, ended_ms=index + 1)
        for index, text in enumerate(turns)
    )


class ScriptedModel:
    """Writes these answers, one after the other; an error is raised."""

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[Conversation] = []

    async def reply(self, conversation: Conversation) -> AsyncIterator[ReplyEvent]:
        self.asked.append(conversation)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        for piece in (answer[:5], answer[5:]):
            yield TextDelta(piece)

    async def aclose(self) -> None: ...


async def letters(texts: Sequence[str]) -> Vectors:
    """Alike is what has the same words."""
    vectors = np.zeros((len(texts), 997), np.float32)
    for row, text in enumerate(texts):
        for word in text.lower().strip("?.!").split():
            vectors[row, zlib.crc32(word.encode()) % 997] = 1.0
    normal: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return normal


async def test_a_model_fills_in_the_form_from_what_was_heard() -> None:
    answer = {"confirmed": True, "guests": 4, "wish": " fish ", "mood": "Happy", "extra": "ignored"}
    model = ScriptedModel(f"Here you are:\n```json\n{json.dumps(answer)}\n```")
    transcript = (*said("Can you come?", "Yes."), TranscriptEntry(role="tool", text="x: ok", started_ms=1, ended_ms=1))
    found = await LlmExtraction(model).extract(FORM, transcript)
    assert found == {"confirmed": True, "guests": 4, "wish": "fish", "mood": "happy"}
    (asked,) = model.asked
    assert "Person: Yes." in asked.messages[1].text
    assert "tool" not in asked.messages[1].text
    assert "x: ok" not in asked.messages[1].text


async def test_a_model_that_writes_no_json_is_asked_once_more_and_then_nothing_is_known() -> None:
    model = ScriptedModel("I cannot.", '{"confirmed": false}')
    assert (await LlmExtraction(model).extract(FORM, said("Can you come?", "No.")))["confirmed"] is False
    silent = ScriptedModel("I cannot.", "Never.")
    assert set((await LlmExtraction(silent).extract(FORM, said("x", "y"))).values()) == {None}


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=3))
def test_no_field_takes_a_value_of_another_type(value: object) -> None:
    for field in FORM:
        match field.type, fitting(field, value):
            case _, None:
                pass
            case "boolean", bool():
                pass
            case "number", int() | float() as number:
                assert not isinstance(number, bool)
                assert abs(number) < float("inf")
            case "text" | "choice", str() as text:
                assert text.strip()
            case other:
                pytest.fail(str(other))


async def test_rules_find_answers_to_the_question_that_was_most_alike() -> None:
    transcript = said(
        "Hello. Can you come to the appointment?",
        "Yes, sure.",
        "How many people are you?",
        "We are 4.",
        "What would you like to eat?",
        "fish, please",
        "Wonderful. Goodbye.",
        "That is great",
    )
    found = await RuleExtraction(letters).extract(FORM, transcript)
    assert found == {"confirmed": True, "guests": 4.0, "wish": "fish, please", "mood": "happy"}


async def test_rules_make_nothing_up() -> None:
    nothing: dict[str, Extracted] = dict.fromkeys(("confirmed", "guests", "wish", "mood"))
    assert await RuleExtraction(letters).extract(FORM, said("Hello?", "Wrong number")) == nothing
    assert await RuleExtraction(letters).extract(FORM, ()) == nothing


async def test_when_the_agents_model_fails_the_rules_do_it_and_no_fault_gets_out(tmp_path: Path) -> None:
    class Fails:
        async def extract(self, form: Sequence[ExtractField], transcript: object) -> dict[str, Extracted]:
            raise ServiceUnavailable("llm", "down")

    policy = Policy.model_validate({"extract": [FORM[0].model_dump()]})
    record = AttemptRecord("c", 1, 1, "+49", "UTC", {}, Outcome.TALKED, 1, call_id="c1")
    async with open_store(f"sqlite+aiosqlite:///{tmp_path}/parley.db", tmp_path, Metrics()) as store:
        await store.begin(session("c1").model_copy(update={"agent": "desk"}))
        for entry in said("Can you come to the appointment?", "Yes."):
            await store.add_transcript("c1", entry)
        failing: Extractor = Fails()
        assert await Extraction(store, {"desk": failing}, RuleExtraction(letters))(policy, record) == {
            "confirmed": True
        }
        assert await Extraction(store, {"desk": failing}, failing)(policy, record) == {"confirmed": None}
        gone = AttemptRecord("c", 1, 1, "+49", "UTC", {}, Outcome.TALKED, 1, call_id="erased")
        assert await Extraction(store, {}, RuleExtraction(letters))(policy, gone) == {"confirmed": None}
