# SPDX-License-Identifier: GPL-3.0-or-later
"""Anthropic's messages."""

from agent.clients.anthropic import AnthropicMessages
from tests.agent.clients.contract_llm import LlmContract, Vendor
from tests.simulators.anthropic import AnthropicServer


class TestContract(LlmContract):
    vendor = Vendor(
        AnthropicMessages,
        AnthropicServer,
        lambda text: {"type": "content_block_delta", "index": 9, "delta": {"type": "text_delta", "text": text}},
        withheld="refusal",
        cut_short="max_tokens",
    )
