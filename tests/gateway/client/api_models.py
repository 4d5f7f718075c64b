# SPDX-License-Identifier: GPL-3.0-or-later
"""Python classes for what the API takes and gives, written from its own description (OpenAPI 3.1)."""

import keyword
import textwrap
from collections.abc import Mapping
from typing import Any

HEADER = '''# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API takes and gives. Written by scripts/generate_client_models from its description: change it there."""

from datetime import datetime
from typing import Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field


class Model(BaseModel):
    """A value that does not change. What a later gateway adds is left out."""

    model_config = ConfigDict(frozen=True)
'''
_LEFT_OUT = {"Problem", "FieldProblem", "Health", "Readiness"}
_REF = "#/components/schemas/"
_WIDTH = 116
_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}

Schema = Mapping[str, Any]


def client_models(openapi: Schema) -> str:
    """The source of `gateway/client/models.py`: every schema, each after those that it needs."""
    schemas: dict[str, Schema] = {
        name: schema for name, schema in openapi["components"]["schemas"].items() if name not in _LEFT_OUT
    }
    sections = [HEADER, *(_class(name, schemas[name]) for name in _in_order(schemas))]
    return "\n\n".join(sections)


def _in_order(schemas: Mapping[str, Schema]) -> list[str]:
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name not in ordered and name in schemas:
            for needed in _references(schemas[name]):
                if needed != name:
                    visit(needed)
            ordered.append(name)

    for name in sorted(schemas):
        visit(name)
    return ordered


def _references(schema: object) -> list[str]:
    if isinstance(schema, Mapping):
        own = [str(schema["$ref"]).removeprefix(_REF)] if "$ref" in schema else []
        return own + [name for value in schema.values() for name in _references(value)]
    if isinstance(schema, list):
        return [name for value in schema for name in _references(value)]
    return []


def _class(name: str, schema: Schema) -> str:
    if "enum" in schema:
        about = textwrap.dedent("\n".join(_docstring(schema.get("description", name))))
        return f"{name} = {_type(schema)}\n{about}\n"
    lines = [f"class {name}(Model):"]
    lines += _docstring(schema.get("description", name))
    required = schema.get("required", ())
    for field, described in schema.get("properties", {}).items():
        lines += (
            ["", *_field(field, described, field in required)]
            if len(lines) == 2
            else _field(field, described, field in required)
        )
    return "\n".join(lines) + "\n"


def _field(name: str, schema: Schema, is_required: bool) -> list[str]:
    own = f"{name}_" if keyword.iskeyword(name) else name
    kind = _type(schema)
    value = ""
    if not is_required:
        value = _default(schema, schema.get("default"))
        if value == "None" and "None" not in kind and kind != "Any":
            kind += " | None"
    if own != name:
        # A word of Python's: ours when we make a value, JSON's when we read one.
        aliases = f'validation_alias=AliasChoices("{name}", "{own}"), serialization_alias="{name}"'
        default = f" = Field({value}{', ' if value else ''}{aliases})"
    else:
        default = f" = {value}" if value else ""
    line = f"    {own}: {kind}{default}"
    return [line, *_docstring(schema["description"])] if "description" in schema else [line]


def _default(schema: Schema, value: object) -> str:
    """As Python writes it: values do not change, so what is one is made once."""
    if isinstance(value, Mapping) and value:
        kinds = [one["$ref"].removeprefix(_REF) for one in (schema, *schema.get("anyOf", ())) if "$ref" in one]
        return f"{kinds[0]}.model_validate({value!r})"
    if isinstance(value, list):
        items = schema.get("items", {})
        return f"({''.join(_default(items, one) + ', ' for one in value)})"
    return repr(value)


def _docstring(text: str) -> list[str]:
    words = " ".join(text.split()).replace("\\", "\\\\")
    wrapped = textwrap.wrap(words, _WIDTH - 7)
    if len(wrapped) == 1:
        return [f'    """{wrapped[0]}"""']
    return [f'    """{wrapped[0]}', *(f"    {line}" for line in wrapped[1:-1]), f'    {wrapped[-1]}"""']


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).removeprefix(_REF)
    if "const" in schema:
        return f"Literal[{schema['const']!r}]"
    if "enum" in schema:
        return f"Literal[{', '.join(repr(value) for value in schema['enum'])}]"
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(one) for one in schema["anyOf"]))
    match schema.get("type"):
        case "array" if "prefixItems" in schema:
            return f"tuple[{', '.join(_type(one) for one in schema['prefixItems'])}]"
        case "array":
            return f"tuple[{_type(schema.get('items', {}))}, ...]"
        case "object":
            values = schema.get("additionalProperties", True)
            return f"dict[str, {_type(values) if isinstance(values, Mapping) else 'Any'}]"
        case "string" if schema.get("format") == "date-time":
            return "datetime"
        case str(plain):
            return _PLAIN[plain]
    return "Any"
