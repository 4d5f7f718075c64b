# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenAI's Responses."""

from agent.clients.openai_responses import OpenAiResponses
from tests.agent.clients.contract_llm import LlmContract, Vendor
from tests.simulators.openai_responses import OpenAiResponsesServer


class TestContract(LlmContract):
    vendor = Vendor(
        OpenAiResponses,
        OpenAiResponsesServer,
        lambda text: {"type": "response.output_text.delta", "output_index": 0, "delta": text},
        withheld="content_filter",
        cut_short="max_output_tokens",
    )
