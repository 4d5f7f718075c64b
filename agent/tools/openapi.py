# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTP API as tools: one for each operation of its OpenAPI document (3.0, 3.1), or of the snippet that matters.

    paths > operation > ToolSpec (path, query and header parameters, the properties of a JSON body) > HttpRequest

A parameter that the configuration has a header for (an API key) is not the model's to give.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import count
from typing import Literal
from urllib.parse import urlencode, urlsplit

import yaml

from agent.errors import ToolFailed
from agent.services.llm import ToolSpec
from agent.tools.http import HttpRequest, HttpRequests, as_text, result_of, tool_name, url_part
from agent.tools.tool import FunctionTool, OnCall, Tool, ToolTraits

_METHODS = ("get", "put", "post", "delete", "patch")
_MAX_DEPTH = 12
"""Of references and schemas: what is deeper may be anything."""
_MAX_NODES = 5_000
"""Of one schema without its references: schemas that refer to themselves many times would never end."""
_MAX_DESCRIPTION = 1_000
_BODY = "body"

Json = Mapping[str, object]


class BadOpenApi(ValueError):
    """The document cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One of an operation's."""

    name: str
    place: Literal["path", "query", "header", "body", "whole_body"]
    schema: Json
    is_required: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing the API can do."""

    name: str
    method: str
    path: str
    description: str
    parameters: tuple[Parameter, ...]


class OpenApi:
    """A parsed document."""

    def __init__(self, text: str) -> None:
        """JSON or YAML. Raises `BadOpenApi`."""
        try:
            document = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise BadOpenApi(f"is neither JSON nor YAML: {str(error).splitlines()[0]}") from error
        except RecursionError as error:
            raise BadOpenApi("is nested too deeply") from error
        if not isinstance(document, Mapping):
            raise BadOpenApi("is no OpenAPI document")
        if "swagger" in document:
            raise BadOpenApi("is of version 2: convert it to OpenAPI 3")
        self._document: Json = document
        self.operations = tuple(self._operations())
        if not self.operations:
            raise BadOpenApi("has no operations under `paths`")
        names = [operation.name for operation in self.operations]
        if twice := {name for name in names if names.count(name) > 1}:
            raise BadOpenApi(f"has several operations named {', '.join(sorted(twice))}")

    @property
    def server_url(self) -> str:
        """The first server's, if it is a whole URL; else empty."""
        servers = self._document.get("servers")
        first = servers[0] if isinstance(servers, list) and servers else None
        url = str(first.get("url", "")) if isinstance(first, Mapping) else ""
        return url if urlsplit(url).netloc and "{" not in url else ""

    def _operations(self) -> Iterator[Operation]:
        for path, item in _mapping(self._document.get("paths")).items():
            item = self._resolved(item)
            shared = self._parameters(item)
            for method in _METHODS:
                found = item.get(method)
                if not isinstance(found, Mapping):
                    continue
                parameters = {**shared, **self._parameters(found)}
                for extra in self._body(found, taken={parameter.name for parameter in parameters.values()}):
                    parameters["body", extra.name] = extra
                name = tool_name(str(found.get("operationId") or f"{method}{path}".replace("/", "_")))
                texts = (str(found.get(key) or "").strip() for key in ("summary", "description"))
                description = " ".join(text for text in texts if text) or f"{method.upper()} {path}"
                yield Operation(
                    name, method.upper(), str(path), description[:_MAX_DESCRIPTION], tuple(parameters.values())
                )

    def _parameters(self, item: Json) -> dict[tuple[str, str], Parameter]:
        found: dict[tuple[str, str], Parameter] = {}
        listed = item.get("parameters")
        for entry in listed if isinstance(listed, list) else ():
            parameter = self._resolved(entry)
            name, place = str(parameter.get("name", "")), parameter.get("in")
            if not name or place not in ("path", "query", "header"):
                continue
            schema = dict(_mapping(self._schema(parameter.get("schema"))))
            if description := parameter.get("description"):
                schema.setdefault("description", str(description)[:_MAX_DESCRIPTION])
            required = place == "path" or parameter.get("required") is True
            found[str(place), name] = Parameter(name, place, schema, required)
        return found

    def _body(self, operation: Json, taken: set[str]) -> Iterator[Parameter]:
        """The properties of a body that is an object, each by itself; else the body as one."""
        body = self._resolved(operation.get("requestBody"))
        content = _mapping(body.get("content"))
        media = next((_mapping(content[kind]) for kind in content if "json" in str(kind)), None)
        if media is None:
            return
        schema = _mapping(self._schema(media.get("schema")))
        is_required = body.get("required") is True
        properties = _mapping(schema.get("properties"))
        if properties and not taken.intersection(properties):
            listed = schema.get("required")
            required = set(map(str, listed)) if isinstance(listed, list) else set()
            for name, part in properties.items():
                yield Parameter(str(name), "body", _mapping(part), name in required)
        elif _BODY not in taken:
            yield Parameter(_BODY, "whole_body", schema, is_required)

    def _resolved(self, value: object, depth: int = 0) -> Json:
        """The object, or what its `$ref` leads to inside this document. Raises `BadOpenApi` for other references."""
        found = _mapping(value)
        reference = found.get("$ref")
        if not isinstance(reference, str):
            return found
        if not reference.startswith("#/") or depth > _MAX_DEPTH:
            raise BadOpenApi(f"refers to {reference[:100]!r}: only references inside the document can be followed")
        node: object = self._document
        for part in reference[2:].split("/"):
            node = _mapping(node).get(part.replace("~1", "/").replace("~0", "~"))
        if node is None:
            raise BadOpenApi(f"refers to {reference[:100]!r}, which is not there")
        return self._resolved(node, depth + 1)

    def _schema(self, value: object, depth: int = 0, nodes: Iterator[int] | None = None) -> object:
        """A schema without references, as tools have them. `nodes` counts what it has become so far."""
        nodes = count() if nodes is None else nodes
        if not isinstance(value, list | Mapping):
            return value
        if depth > _MAX_DEPTH or next(nodes) > _MAX_NODES:
            return {}
        if isinstance(value, list):
            return [self._schema(item, depth + 1, nodes) for item in value]
        return {
            str(key): self._schema(part, depth + 1, nodes)
            for key, part in self._resolved(value).items()
            if key not in ("example", "examples", "xml", "externalDocs")
        }


def openapi_tools(
    key: str,
    document: OpenApi,
    base_url: str,
    headers: Mapping[str, str],
    requests: HttpRequests,
    traits: ToolTraits,
    operations: tuple[str, ...] = ("*",),
) -> tuple[Tool, ...]:
    """A tool for each operation whose name fits one of `operations`; `headers` go with every request."""
    return tuple(
        _tool(key, operation, base_url.rstrip("/"), headers, requests, traits)
        for operation in document.operations
        if any(fnmatchcase(operation.name, pattern) for pattern in operations)
    )


def _tool(
    key: str,
    operation: Operation,
    base_url: str,
    headers: Mapping[str, str],
    requests: HttpRequests,
    traits: ToolTraits,
) -> Tool:
    ours = {name.lower() for name in headers}
    parameters = tuple(
        parameter
        for parameter in operation.parameters
        if not (parameter.place == "header" and parameter.name.lower() in ours)
    )
    schema = {
        "type": "object",
        "properties": {parameter.name: dict(parameter.schema) for parameter in parameters},
        "required": [parameter.name for parameter in parameters if parameter.is_required],
        "additionalProperties": False,
    }

    async def run(arguments: Mapping[str, object], call: OnCall) -> str:
        return result_of(await requests.send(_request(operation, parameters, base_url, headers, arguments)))

    whole = f"{key}.{operation.name}"
    return FunctionTool(whole, ToolSpec(tool_name(whole), operation.description, schema), run, traits)


def _request(
    operation: Operation,
    parameters: tuple[Parameter, ...],
    base_url: str,
    headers: Mapping[str, str],
    arguments: Mapping[str, object],
) -> HttpRequest:
    path, query, body = operation.path, list[tuple[str, str]](), dict[str, object]()
    headers = dict(headers)
    whole_body: object = None
    for parameter in parameters:
        if parameter.name not in arguments:
            continue
        value = arguments[parameter.name]
        match parameter.place:
            case "path":
                path = path.replace(f"{{{parameter.name}}}", url_part(value))
            case "query":
                values = value if isinstance(value, list) else [value]
                query += [(parameter.name, as_text(one)) for one in values]
            case "header":
                text = as_text(value)
                if not text.isprintable() or not text.isascii():
                    raise ToolFailed(f"{parameter.name} cannot be sent: letters, digits and signs of ASCII only")
                headers[parameter.name] = text
            case "body":
                body[parameter.name] = value
            case "whole_body":
                whole_body = value
    url = f"{base_url}{path}" + (f"?{urlencode(query)}" if query else "")
    has_body = any(parameter.place == "body" for parameter in parameters)
    return HttpRequest(operation.method, url, headers, body if has_body else whole_body)


def _mapping(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}
