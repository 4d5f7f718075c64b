# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenAPI documents become tools, whose requests are what the document says."""

import json

import pytest

from agent.errors import ToolFailed
from agent.tools.http import HttpRequest
from agent.tools.openapi import BadOpenApi, OpenApi, openapi_tools
from agent.tools.tool import Tool, ToolTraits
from tests.agent.tools.test_http import Server
from tests.fakes.tools import on_call

DOCUMENT = """
openapi: 3.0.3
servers: [{url: "https://api.example.com/v2/"}]
paths:
  /orders/{id}:
    parameters:
      - {$ref: "#/components/parameters/Id"}
    get:
      operationId: getOrder
      summary: Where an order is.
      description: All of it.
      parameters:
        - {name: expand, in: query, schema: {type: array, items: {type: string}}}
        - {name: X-Shop, in: header, required: true, schema: {type: string}}
        - {name: X-Api-Key, in: header, required: true, schema: {type: string}}
        - {name: session, in: cookie, schema: {type: string}}
    put:
      requestBody:
        required: true
        content:
          application/json: {schema: {$ref: "#/components/schemas/Order"}}
  /notes:
    post:
      operationId: addNote
      requestBody:
        content:
          application/json; charset=utf-8: {schema: {type: array, items: {type: string}}}
components:
  parameters:
    Id: {name: id, in: path, required: true, description: The number., schema: {type: integer, example: 7}}
  schemas:
    Order:
      type: object
      required: [state]
      properties:
        state: {$ref: "#/components/schemas/State"}
        parent: {$ref: "#/components/schemas/Order"}
    State: {enum: [open, closed]}
"""


def tools_of(server: Server, text: str = DOCUMENT, operations: tuple[str, ...] = ("*",)) -> dict[str, Tool]:
    document = OpenApi(text)
    headers = {"x-api-key": "k"}
    made = openapi_tools("crm", document, document.server_url, headers, server, ToolTraits(), operations)
    return {tool.key: tool for tool in made}


def test_each_operation_is_a_tool_with_its_parameters() -> None:
    tools = tools_of(Server())
    assert list(tools) == ["crm.getOrder", "crm.put_orders__id_", "crm.addNote"]
    spec = tools["crm.getOrder"].spec
    assert (spec.name, spec.description) == ("crm_getOrder", "Where an order is. All of it.")
    assert spec.parameters == {
        "type": "object",
        "properties": {
            "id": {"type": "integer", "description": "The number."},
            "expand": {"type": "array", "items": {"type": "string"}},
            "X-Shop": {"type": "string"},
        },
        "required": ["id", "X-Shop"],
        "additionalProperties": False,
    }
    put = tools["crm.put_orders__id_"].spec.parameters
    assert put["required"] == ["id", "state"]
    assert put["properties"]["state"] == {"enum": ["open", "closed"]}  # type: ignore[index]
    json.dumps(put)  # the schema that contains itself has an end


def test_only_the_wanted_operations_are_tools() -> None:
    assert list(tools_of(Server(), operations=("get*",))) == ["crm.getOrder"]


async def test_requests_are_what_the_document_says() -> None:
    server = Server()
    tools = tools_of(server)
    await tools["crm.getOrder"].run({"id": 7, "expand": ["a b", "c"], "X-Shop": "s"}, on_call())
    await tools["crm.put_orders__id_"].run({"id": 7, "state": "open"}, on_call())
    await tools["crm.addNote"].run({"body": ["x"]}, on_call())
    base = "https://api.example.com/v2"
    assert server.requests == [
        HttpRequest("GET", f"{base}/orders/7?expand=a+b&expand=c", {"x-api-key": "k", "X-Shop": "s"}),
        HttpRequest("PUT", f"{base}/orders/7", {"x-api-key": "k"}, {"state": "open"}),
        HttpRequest("POST", f"{base}/notes", {"x-api-key": "k"}, ["x"]),
    ]


async def test_a_header_cannot_be_made_two() -> None:
    with pytest.raises(ToolFailed, match="X-Shop cannot be sent"):
        await tools_of(Server())["crm.getOrder"].run({"id": 7, "X-Shop": "a\r\nX-Api-Key: b"}, on_call())


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{", "is neither JSON nor YAML"),
        ("7", "is no OpenAPI document"),
        ("swagger: '2.0'", "is of version 2"),
        ("openapi: 3.1.0", "has no operations"),
        ("paths: {/a: {$ref: 'other.yaml'}}", "only references inside the document"),
        ("paths: {/a: {$ref: '#/nowhere'}}", "which is not there"),
        ("paths: {/a: {$ref: '#/paths/~1a'}}", "only references inside the document"),
        ("paths: {/a: {get: {operationId: x}, put: {operationId: x}}}", "several operations named x"),
    ],
)
def test_documents_that_cannot_be_used_say_why(text: str, fault: str) -> None:
    with pytest.raises(BadOpenApi, match=fault):
        OpenApi(text)


@pytest.mark.parametrize(
    "server", ["servers: []", "servers: [{url: /v1}]", 'servers: [{url: "https://{host}/v1"}]', "x: 1"]
)
def test_a_document_without_a_whole_address_has_none(server: str) -> None:
    assert OpenApi(f"{server}\npaths: {{/a: {{get: {{}}}}}}").server_url == ""


def test_schemas_that_refer_to_themselves_many_times_have_an_end() -> None:
    node = {"type": "object", "properties": {f"p{n}": {"$ref": "#/components/schemas/Node"} for n in range(20)}}
    body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Node"}}}}
    document = {"paths": {"/x": {"post": {"requestBody": body}}}, "components": {"schemas": {"Node": node}}}
    (operation,) = OpenApi(json.dumps(document)).operations
    assert {parameter.name for parameter in operation.parameters} == set(node["properties"])
    assert len(json.dumps([dict(parameter.schema) for parameter in operation.parameters])) < 1_000_000


def test_a_document_that_contains_itself_has_an_end() -> None:
    OpenApi("paths: {/x: {get: {parameters: [{name: a, in: query, schema: {enum: &a [*a]}}]}}}")
    with pytest.raises(BadOpenApi, match="nested too deeply"):
        OpenApi("[" * 5_000)
