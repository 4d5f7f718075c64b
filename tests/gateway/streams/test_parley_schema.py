# SPDX-License-Identifier: GPL-3.0-or-later
"""The JSON Schema of `parley.v1` is a schema, and says of every message what the models say."""

import json
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from gateway.streams.messages import Malformed, StreamEvent
from gateway.streams.parley import ParleyProtocol
from gateway.streams.parley_messages import parley_schema, read_backend_order, read_gateway_message
from tests.gateway.streams.parley_examples import BACKEND_EXAMPLES, GATEWAY_EXAMPLES, GATEWAY_WORDS, SPOILT_EXAMPLES


def validator(side: str) -> Draft202012Validator:
    """For the messages of one side: `GatewayMessage` or `BackendMessage`."""
    return Draft202012Validator({**parley_schema(), "anyOf": [{"$ref": f"#/$defs/{side}"}]})


def test_it_is_a_json_schema_of_2020_12() -> None:
    Draft202012Validator.check_schema(parley_schema())
    assert parley_schema()["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


@pytest.mark.parametrize("example", GATEWAY_EXAMPLES, ids=lambda example: example["type"])
def test_every_message_of_a_gateway_fits_and_comes_back_as_it_was(example: dict[str, Any]) -> None:
    validator("GatewayMessage").validate(example)
    message = read_gateway_message(json.dumps(example))
    said = json.loads(message.model_dump_json(by_alias=True))
    assert said == {**said, **example}
    validator("GatewayMessage").validate(said)


@pytest.mark.parametrize("example", BACKEND_EXAMPLES, ids=lambda example: example["type"])
def test_every_message_of_a_backend_fits_and_comes_back_as_it_was(example: dict[str, Any]) -> None:
    validator("BackendMessage").validate(example)
    message = read_backend_order(json.dumps(example))
    said = json.loads(message.model_dump_json(by_alias=True))
    assert said == {**said, **example}
    validator("BackendMessage").validate(said)


@pytest.mark.parametrize(("side", "spoilt"), SPOILT_EXAMPLES)
def test_what_does_not_fit_is_refused_by_the_schema_and_by_the_models(side: str, spoilt: dict[str, Any]) -> None:
    assert not validator(side).is_valid(spoilt)
    with pytest.raises(ValidationError):
        (read_gateway_message if side == "GatewayMessage" else read_backend_order)(json.dumps(spoilt))


def test_every_message_has_an_example() -> None:
    definitions = parley_schema()["$defs"]
    for side, examples in (("GatewayMessage", GATEWAY_EXAMPLES), ("BackendMessage", BACKEND_EXAMPLES)):
        kinds = [one["$ref"].removeprefix("#/$defs/") for one in definitions[side]["oneOf"]]
        described = {definitions[kind]["properties"]["type"]["const"] for kind in kinds}
        assert described == {example["type"] for example in examples}


def test_fields_of_a_later_version_are_tolerated() -> None:
    later = {"type": "dtmf", "seq": 7, "digit": "1", "duration_ms": 80, "strength": 3}
    validator("GatewayMessage").validate(later)
    read_gateway_message(json.dumps(later))


@pytest.mark.parametrize("event", GATEWAY_WORDS, ids=lambda event: type(event).__name__)
def test_whatever_the_gateway_says_fits_the_schema(event: StreamEvent) -> None:
    adapter = ParleyProtocol()
    for said in adapter.tell(event) + adapter.tell(event):
        assert isinstance(said, str)
        validator("GatewayMessage").validate(json.loads(said))
        read_gateway_message(said)


def test_the_gateway_says_every_message_that_the_schema_knows() -> None:
    said = {json.loads(text)["type"] for event in GATEWAY_WORDS for text in ParleyProtocol().tell(event)}
    assert said == {example["type"] for example in GATEWAY_EXAMPLES}
    assert {type(event) for event in GATEWAY_WORDS} == set(get_args(StreamEvent))


@pytest.mark.parametrize("example", BACKEND_EXAMPLES, ids=lambda example: example["type"])
def test_whatever_fits_the_schema_is_understood_by_the_gateway(example: dict[str, Any]) -> None:
    (word,) = ParleyProtocol().receive(json.dumps(example))
    assert not isinstance(word, Malformed)


@pytest.mark.parametrize("spoilt", [spoilt for side, spoilt in SPOILT_EXAMPLES if side == "BackendMessage"])
def test_what_does_not_fit_is_not_understood_by_the_gateway(spoilt: dict[str, Any]) -> None:
    (word,) = ParleyProtocol().receive(json.dumps(spoilt))
    assert isinstance(word, Malformed)
