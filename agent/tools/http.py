# SPDX-License-Identifier: GPL-3.0-or-later
"""Tools that are one HTTP request: a webhook or an SMS by a template, an operation of an API (agent/tools/openapi.py).

The model fills in values, never the place they go to: hosts are fixed, values are escaped, and what a request says is
JSON. Connections are the gateway's, whose guard decides where they may lead.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote, urlsplit

from agent.errors import ToolFailed
from agent.services.llm import ToolSpec
from agent.tools.tool import FunctionTool, OnCall, Tool, ToolTraits

_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_-]+)?)\}")
_SECRET_KEYS = "secret_keys"
_NUMBER = re.compile(r"\+?[0-9]{4,15}")
_MAX_ERROR_CHARS = 300
_MAX_SMS_CHARS = 480
"""Three messages."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What to send."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: object = None
    """JSON; None: no body."""


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What came back."""

    status: int
    text: str
    """As much of the body as is taken."""

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300


class HttpRequests(Protocol):
    """The gateway's way out."""

    async def send(self, request: HttpRequest) -> HttpReply:
        """Raises `ToolFailed`: the URL is refused, or nobody answers."""
        ...


@dataclass(frozen=True, slots=True)
class Template:
    """A request with places to fill in: `{parameter}`, `{caller}`, `{call_id}`, `{metadata.KEY}`, `{secret_keys}`."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: object = None
    """JSON whose texts have places. A text that is nothing but a place becomes the value itself, of its own type."""

    def places(self) -> set[str]:
        """The names of all of them."""
        return set(_PLACE.findall(self.url)) | _places(self.body)

    def fill(self, values: Mapping[str, object]) -> HttpRequest:
        """Raises `ToolFailed` for what cannot be in a URL. What has no value becomes empty in texts, null elsewhere."""
        path, question, query = self.url.partition("?")
        url = _PLACE.sub(lambda place: url_part(values.get(place[1])), path)
        url += question + _PLACE.sub(lambda place: quote(as_text(values.get(place[1])), safe=""), query)
        return HttpRequest(self.method, url, self.headers, _filled(self.body, values))


def has_fixed_host(url: str) -> bool:
    """Nothing is filled in before the path."""
    parts = urlsplit(url)
    return bool(parts.scheme and parts.netloc) and not _PLACE.search(f"{parts.scheme}{parts.netloc}")


def webhook(
    key: str,
    description: str,
    template: Template,
    parameters: Mapping[str, object],
    optional: tuple[str, ...],
    requests: HttpRequests,
    traits: ToolTraits,
) -> Tool:
    """`parameters`: a description or a JSON Schema of each. With `{secret_keys}` in it, the model learns only whether
    these were right: whether the server answers with success or with 4xx."""
    properties = {
        name: {"type": "string", "description": schema} if isinstance(schema, str) else schema
        for name, schema in parameters.items()
    }
    if template.body is None and template.method not in ("GET", "DELETE"):
        template = Template(
            template.method, template.url, template.headers, {name: f"{{{name}}}" for name in properties}
        )
    is_secret = _SECRET_KEYS in template.places()

    async def run(arguments: Mapping[str, object], call: OnCall) -> str:
        values = {**_of_call(call), **arguments}
        if is_secret:
            if not (keys := call.talk.take_secret_keys()):
                raise ToolFailed("the caller has pressed no secret keys")
            values[_SECRET_KEYS] = keys
        reply = await requests.send(template.fill(values))
        return _verdict(reply) if is_secret else result_of(reply)

    return FunctionTool(key, _spec(key, description, properties, optional), run, traits)


def sms(
    key: str,
    description: str,
    template: Template,
    sender: str,
    allow_to: tuple[str, ...],
    requests: HttpRequests,
    traits: ToolTraits,
) -> Tool:
    """Writes to the caller's number, and to those that fit `allow_to`; to nobody else, whatever the model wants."""
    properties: dict[str, object] = {
        "text": {"type": "string", "minLength": 1, "maxLength": _MAX_SMS_CHARS},
    }
    if allow_to:
        properties["to"] = {"type": "string", "description": "a number; left out: the caller's own"}
    if template.body is None:
        template = Template(template.method, template.url, template.headers, {"to": "{to}", "text": "{text}"})

    async def run(arguments: Mapping[str, object], call: OnCall) -> str:
        to = str(arguments.get("to") or "") or number_of(call.caller)
        if not to:
            raise ToolFailed("the caller's number is not known")
        if to != number_of(call.caller) and not any(re.fullmatch(pattern, to) for pattern in allow_to):
            raise ToolFailed("that number may not be written to")
        values = {**_of_call(call), "to": to, "text": arguments["text"], "sender": sender}
        reply = await requests.send(template.fill(values))
        return "Sent." if reply.is_success else result_of(reply)

    said = description or "Send a text message, to the caller unless told otherwise."
    return FunctionTool(key, _spec(key, said, properties, ("to",)), run, traits)


def result_of(reply: HttpReply) -> str:
    """For the model. Raises `ToolFailed` when it is no success."""
    text = reply.text.strip()
    if not reply.is_success:
        raise ToolFailed(f"the server answers {reply.status}: {text[:_MAX_ERROR_CHARS]}".rstrip(": "))
    try:
        return json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))  # no characters for white space
    except ValueError:
        return text or "Done."


def number_of(caller: str) -> str:
    """The telephone number in an address or number; empty when it has none."""
    user = caller.removeprefix("sip:").removeprefix("sips:").removeprefix("tel:").partition("@")[0].partition(";")[0]
    return user if _NUMBER.fullmatch(user) else ""


def as_text(value: object) -> str:
    """A value in the middle of a text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def url_part(value: object) -> str:
    """A value as one part of a path. Raises `ToolFailed` for what would lead to another path."""
    text = as_text(value)
    if text in ("", ".", ".."):
        raise ToolFailed(f"{text!r} cannot be part of an address")
    return quote(text, safe="")


def tool_name(key: str) -> str:
    """The name for the model: services allow letters, digits, `_` and `-`, 64 of them."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", key)[:64]


def _spec(key: str, description: str, properties: Mapping[str, object], optional: tuple[str, ...]) -> ToolSpec:
    required = [name for name in properties if name not in optional]
    schema = {"type": "object", "properties": dict(properties), "required": required, "additionalProperties": False}
    return ToolSpec(tool_name(key), description, schema)


def _of_call(call: OnCall) -> dict[str, object]:
    metadata = {f"metadata.{key}": value for key, value in call.metadata.items()}
    return {"caller": call.caller, "call_id": call.call_id, **metadata}


def _verdict(reply: HttpReply) -> str:
    """Nothing of the body: it may repeat the keys."""
    if reply.is_success:
        return "The keys were right."
    if 400 <= reply.status < 500 and reply.status not in (401, 403, 408, 429):
        return "The keys were wrong."
    raise ToolFailed("the keys cannot be checked at the moment")


def _places(body: object) -> set[str]:
    match body:
        case str():
            return set(_PLACE.findall(body))
        case Mapping():
            return {name for value in body.values() for name in _places(value)}
        case list():
            return {name for value in body for name in _places(value)}
    return set()


def _filled(body: object, values: Mapping[str, object]) -> object:
    match body:
        case str():
            if whole := _PLACE.fullmatch(body):
                return values.get(whole[1])
            return _PLACE.sub(lambda place: as_text(values.get(place[1])), body)
        case Mapping():
            return {key: _filled(value, values) for key, value in body.items()}
        case list():
            return [_filled(value, values) for value in body]
    return body
