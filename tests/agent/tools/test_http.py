# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests that tools make: what the model gives is filled in, and leads nowhere else."""

import pytest

from agent.errors import ToolFailed
from agent.tools.http import HttpReply, HttpRequest, Template, has_fixed_host, number_of, sms, tool_name, webhook
from agent.tools.tool import Tool, ToolTraits
from tests.fakes.tools import on_call


class Server:
    """Answers the same each time."""

    def __init__(self, status: int = 200, text: str = '{"ok": true}') -> None:
        self.reply = HttpReply(status, text)
        self.requests: list[HttpRequest] = []

    async def send(self, request: HttpRequest) -> HttpReply:
        self.requests.append(request)
        return self.reply


def hook(server: Server, template: Template, **parameters: object) -> Tool:
    return webhook("crm", "Looks up.", template, parameters, (), server, ToolTraits())


def test_values_are_filled_in_with_their_types_and_escaped_in_urls() -> None:
    template = Template(
        "POST",
        "https://h/orders/{id}?by={caller}&x={id}",
        body={"n": "{count}", "text": "order {id}, {count}", "list": ["{id}", 1], "gone": "{absent}"},
    )
    request = template.fill({"id": "a/../b?c&d", "count": 3, "caller": "+1 55"})
    assert request.url == "https://h/orders/a%2F..%2Fb%3Fc%26d?by=%2B1%2055&x=a%2F..%2Fb%3Fc%26d"
    assert request.body == {"n": 3, "text": "order a/../b?c&d, 3", "list": ["a/../b?c&d", 1], "gone": None}


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_value_that_would_be_another_path_is_refused(value: str) -> None:
    with pytest.raises(ToolFailed, match="cannot be part of an address"):
        Template("GET", "https://h/orders/{id}/lines").fill({"id": value})


@pytest.mark.parametrize(
    ("url", "fixed"),
    [("https://h/{x}", True), ("https://{x}/a", False), ("{x}://h/a", False), ("https://h.{x}/", False), ("/a", False)],
)
def test_only_path_and_query_may_be_filled_in(url: str, fixed: bool) -> None:
    assert has_fixed_host(url) is fixed


async def test_a_webhook_sends_its_parameters_and_what_is_known_of_the_call() -> None:
    server = Server(text=' {"slot":  "nine" } ')
    template = Template("POST", "https://h/b", {"X-Key": "k"}, {"day": "{day}", "who": "{metadata.customer}"})
    tool = hook(server, template, day="the day", n={"type": "integer"})
    assert tool.spec.parameters["required"] == ["day", "n"]
    assert await tool.run({"day": "Monday", "n": 2}, on_call()) == '{"slot":"nine"}'
    assert server.requests == [HttpRequest("POST", "https://h/b", {"X-Key": "k"}, {"day": "Monday", "who": "c 7"})]


async def test_without_a_body_of_its_own_a_webhook_sends_all_parameters() -> None:
    server = Server()
    await hook(server, Template("POST", "https://h/b"), n={"type": "integer"}).run({"n": 2}, on_call())
    assert server.requests[0].body == {"n": 2}


async def test_what_the_server_refuses_is_told() -> None:
    with pytest.raises(ToolFailed, match="the server answers 409: the slot is taken"):
        await hook(Server(409, "the slot is taken"), Template("POST", "https://h/b")).run({}, on_call())


@pytest.mark.parametrize(
    ("status", "told"), [(200, "The keys were right."), (422, "The keys were wrong."), (500, None), (429, None)]
)
async def test_of_secret_keys_the_model_learns_only_whether_they_were_right(status: int, told: str | None) -> None:
    server = Server(status, "1234 is the pin")
    tool = hook(server, Template("POST", "https://h/pin", body={"pin": "{secret_keys}"}))
    call = on_call(secret_keys="1234")
    if told is None:
        with pytest.raises(ToolFailed, match="cannot be checked"):
            await tool.run({}, call)
    else:
        assert await tool.run({}, call) == told
    assert server.requests[0].body == {"pin": "1234"}
    with pytest.raises(ToolFailed, match="no secret keys"):
        await tool.run({}, call)


@pytest.mark.parametrize(
    ("to", "allow", "sent"),
    [
        (None, (), "+15550100"),
        ("+15550100", (), "+15550100"),
        ("+4930123456", (r"\+49\d+",), "+4930123456"),
        ("+4930123456", (), None),
        ("+1900555", (r"\+49\d+",), None),
    ],
)
async def test_text_messages_go_to_the_caller_and_to_whom_the_configuration_allows(
    to: str | None, allow: tuple[str, ...], sent: str | None
) -> None:
    server = Server()
    template = Template("POST", "https://h/sms", body={"to": "{to}", "from": "{sender}", "body": "{text}"})
    tool = sms("sms", "", template, "Shop", allow, server, ToolTraits())
    arguments = {"text": "hello"} | ({} if to is None else {"to": to})
    assert ("to" in tool.spec.parameters["properties"]) is bool(allow)  # type: ignore[operator]
    if sent is None:
        with pytest.raises(ToolFailed, match="may not be written to"):
            await tool.run(arguments, on_call())
        assert server.requests == []
    else:
        assert await tool.run(arguments, on_call()) == "Sent."
        assert server.requests[0].body == {"to": sent, "from": "Shop", "body": "hello"}


async def test_a_caller_without_a_number_gets_no_text_message() -> None:
    tool = sms("sms", "", Template("POST", "https://h/sms"), "", (), Server(), ToolTraits())
    with pytest.raises(ToolFailed, match="number is not known"):
        await tool.run({"text": "hello"}, on_call("sip:anonymous@anonymous.invalid"))


@pytest.mark.parametrize(
    ("caller", "number"),
    [("sip:+15550100@h;x=y", "+15550100"), ("tel:+15550100;a=b", "+15550100"), ("4930", "4930"), ("sip:anna@h", "")],
)
def test_numbers_are_found_in_addresses(caller: str, number: str) -> None:
    assert number_of(caller) == number


def test_names_for_the_model_have_no_other_signs() -> None:
    assert tool_name("crm.get/order ü") == "crm_get_order__"
    assert len(tool_name("x" * 99)) == 64
