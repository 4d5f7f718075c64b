# SPDX-License-Identifier: GPL-3.0-or-later
"""Gemini over streamGenerateContent."""

from agent.clients.gemini import GeminiLlm
from tests.agent.clients.contract_llm import LlmContract, Vendor
from tests.simulators.gemini import GeminiServer


class TestContract(LlmContract):
    vendor = Vendor(
        GeminiLlm,
        GeminiServer,
        lambda text: {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "index": 0}]},
        withheld="SAFETY",
        cut_short="MAX_TOKENS",
        has_pieces=False,
    )
