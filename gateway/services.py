# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosted services of the configuration: `[services.NAME]` to the clients that agents share."""

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from agent.clients.openai_chat import OpenAiChat, Usage
from agent.clients.settings import ServiceSettings
from gateway.config import Config, ServiceConfig
from gateway.telemetry import Metrics

SERVICE_KINDS = ("openai",)
"""Those of which there is a client; all are language models so far."""
_WARM_EVERY_S = 60.0


@asynccontextmanager
async def open_models(services: Mapping[str, ServiceConfig], metrics: Metrics) -> AsyncIterator[dict[str, OpenAiChat]]:
    """The language models by name; a connection to each is kept warm. Closed on leaving."""
    async with AsyncExitStack() as stack:
        models = {}
        for name, service in services.items():
            model = OpenAiChat(chat_settings(name, service), on_usage=_counting(name, metrics))
            stack.push_async_callback(model.aclose)
            models[name] = model
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        warming = [tasks.create_task(_keep_warm(model), name=f"warm-{name}") for name, model in models.items()]
        try:
            yield models
        finally:
            for task in warming:
                task.cancel()


async def _keep_warm(model: OpenAiChat) -> None:
    """So that no caller waits for a handshake; servers that close sooner than this are connected to anew."""
    while True:
        await model.warm()
        await asyncio.sleep(_WARM_EVERY_S)


def chat_settings(name: str, service: ServiceConfig) -> ServiceSettings:
    """What the client needs of a service of kind `openai`."""
    return ServiceSettings(
        name=name,
        model=service.model or "",
        url=service.url or "",
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
