# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosted services of the configuration: `[services.NAME]` to the clients that agents share."""

import importlib.util
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from agent.clients.openai_chat import OPENAI_URL, ChatSettings, OpenAiChat, Usage
from gateway.config import Config, ServiceConfig
from gateway.telemetry import Metrics

SERVICE_KINDS = ("openai",)
"""Those of which there is a client; all are language models so far."""


@asynccontextmanager
async def open_models(services: Mapping[str, ServiceConfig], metrics: Metrics) -> AsyncIterator[dict[str, OpenAiChat]]:
    """The language models by name, their connections warm; closed on leaving."""
    async with AsyncExitStack() as stack:
        models = {}
        for name, service in services.items():
            model = OpenAiChat(chat_settings(name, service), on_usage=_counting(name, metrics))
            stack.push_async_callback(model.aclose)
            models[name] = model
        yield models


def chat_settings(name: str, service: ServiceConfig) -> ChatSettings:
    """What the client needs of a service of kind `openai`."""
    return ChatSettings(
        name=name,
        model=service.model or "",
        url=service.url or OPENAI_URL,
        api_key="" if service.api_key is None else service.api_key.get_secret_value(),
        temperature=service.temperature,
        max_tokens=service.max_tokens,
        timeout_s=service.timeout_s,
        http2=service.http2,
        headers={key: value.get_secret_value() for key, value in service.headers.items()},
        extra=service.extra,
    )


def service_faults(config: Config) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """What is wrong with them, as (path, problem)."""
    for name, service in config.services.items():
        if service.kind == "openai" and not service.model:
            yield ("services", name, "model"), "is missing: which model is to answer"
        if service.http2 and importlib.util.find_spec("h2") is None:
            yield ("services", name, "http2"), "needs the extra http2: .venv/bin/pip install -e '.[http2]'"


def _counting(service: str, metrics: Metrics) -> Callable[[Usage], None]:
    """Counts what answers cost."""

    def count(usage: Usage) -> None:
        for kind, tokens in (
            ("prompt", usage.prompt_tokens - usage.cached_tokens),
            ("cached", usage.cached_tokens),
            ("completion", usage.completion_tokens),
        ):
            metrics.llm_tokens.labels(service, kind).inc(max(0, tokens))

    return count
