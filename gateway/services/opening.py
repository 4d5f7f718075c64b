# SPDX-License-Identifier: GPL-3.0-or-later
"""The clients of the configured services, open for as long as the gateway runs, with connections that are warm before
the first call."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from agent.chains import LanguageModelChain, Member, SpeechToTextChain, TextToSpeechChain
from agent.chains.events import Role as ChainRole
from agent.clients.limits import Limits
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceRejected
from agent.services.llm import LanguageModel
from agent.services.realtime import SpeechToSpeech
from agent.services.stt import SpeechToText
from agent.services.tts import TextToSpeech
from gateway.config import Config
from gateway.errors import StartupError
from gateway.service_config import ServiceConfig
from gateway.services import casting
from gateway.services.kinds import LOCAL, OnUsage, Role, make_client
from gateway.services.metering import ChainMetrics, Meter, MeteredLlm, MeteredStt, MeteredTts, ServiceRecord
from gateway.telemetry import Metrics

if TYPE_CHECKING:
    from agent.clients.llm_dialect import Usage

log = structlog.get_logger(__name__)

_WARM_EVERY_S = 20.0
"""So that no caller waits for a handshake; what closes idle connections sooner is connected to anew."""
_FIRST_WARMING_S = 3.0
"""The gateway starts without a service that takes longer."""


class Client(Protocol):
    """What all clients have besides their role's protocol."""

    async def warm(self, **wanted: Any) -> None:
        """Have a connection ready; cheap when one is. What is wrong is logged, not raised. Voices are asked with
        `voice` and `sample_rate_hz`."""
        ...

    async def aclose(self) -> None: ...


class Services:
    """The services by name, in the roles that agents name them for, and chains of them."""

    def __init__(self, config: Config, metrics: Metrics) -> None:
        """Raises `StartupError`: a file that a service names cannot be used."""
        self._configs = config.services
        self.records: dict[tuple[str, Role], ServiceRecord] = {}
        """What has become of their requests; those of speech-to-speech services are not counted."""
        self._tell = ChainMetrics(metrics, self.records).receive
        self._metrics = metrics
        self._meters: dict[tuple[str, Role], Meter] = {}
        self.clients: dict[tuple[str, Role], Client] = {}
        """As they are, without what counts and without breakers."""
        self._members: dict[tuple[str, Role], Member[Any]] = {}
        """With those; shared by all chains."""
        for name, role in casting.cast(config):
            service = config.services[name]
            try:
                client: Client = make_client(service.kind, role, service_settings(name, service), self._counting(name))
            except ServiceRejected as error:
                raise StartupError(f"services.{name}: {error.detail}") from error
            self.clients[name, role] = client
            if role != "realtime":
                limits = Limits(service.max_concurrent, service.max_per_s)
                self._members[name, role] = self._member(name, role, client, limits)

    def stt(self, name: str, local: SpeechToText) -> SpeechToText:
        """Speech to text of this name; `local` is there for chains that have it."""
        members = self._chain(name, "stt", local)
        return SpeechToTextChain(name, members, hedge_after_ms=self._hedge_ms(name), on_event=self._tell)

    def llm(self, name: str, local: LanguageModel) -> LanguageModel:
        members = self._chain(name, "llm", local)
        return LanguageModelChain(name, members, hedge_after_ms=self._hedge_ms(name), on_event=self._tell)

    def tts(self, name: str, local: TextToSpeech) -> TextToSpeech:
        members = self._chain(name, "tts", local)
        return TextToSpeechChain(name, members, hedge_after_ms=self._hedge_ms(name), on_event=self._tell)

    def local_stt(self, engine: SpeechToText) -> SpeechToText:
        """The offline engine of agents that name no service, counted as services are."""
        return MeteredStt(engine, self._meter(LOCAL, "stt"))

    def local_llm(self, engine: LanguageModel) -> LanguageModel:
        return MeteredLlm(engine, self._meter(LOCAL, "llm"))

    def local_tts(self, engine: TextToSpeech) -> TextToSpeech:
        return MeteredTts(engine, self._meter(LOCAL, "tts"))

    def warm_voice(self, name: str, voice: str | None) -> Callable[[int], Awaitable[None]]:
        """Has connections ready for this voice, the first member's when the service is a chain, at a leg's rate."""
        first, *others = [one for one in casting.members(self._configs, name) if one != LOCAL]

        async def warm(sample_rate_hz: int) -> None:
            for member, own in ((first, voice), *((other, None) for other in others)):
                await self.clients[member, "tts"].warm(voice=own, sample_rate_hz=sample_rate_hz)

        return warm

    def realtime(self, name: str) -> SpeechToSpeech:
        client: Any = self.clients[name, "realtime"]
        service: SpeechToSpeech = client
        return service

    def _chain(self, name: str, role: ChainRole, local: Any) -> list[Member[Any]]:
        return [
            self._member(LOCAL, role, local, Limits()) if one == LOCAL else self._members[one, role]
            for one in casting.members(self._configs, name)
        ]

    def _hedge_ms(self, name: str) -> int:
        return self._configs[name].hedge_after_ms

    def _member(self, name: str, role: ChainRole, service: Any, limits: Limits) -> Member[Any]:
        metered = _METERED[role](service, self._meter(name, role))
        return Member(name, role, metered, continues=name != LOCAL, limits=limits, on_event=self._tell)

    def _counting(self, name: str) -> OnUsage:
        """Counts what answers cost."""

        def count(usage: "Usage") -> None:
            used = self._meter(name, "llm").recent.usage
            for kind, tokens in (
                ("prompt", usage.prompt_tokens - usage.cached_tokens),
                ("cached", usage.cached_tokens),
                ("completion", usage.completion_tokens),
            ):
                self._metrics.llm_tokens.labels(name, kind).inc(max(0, tokens))
                used[kind] += max(0, tokens)

        return count

    def _meter(self, name: str, role: ChainRole) -> Meter:
        """One for each, however many agents use it."""
        meter = self._meters.get((name, role))
        if meter is None:
            meter = self._meters[name, role] = Meter(name, role, self._metrics)
            self.records[name, role] = meter.recent
        return meter


_METERED: Mapping[ChainRole, Callable[[Any, Meter], Any]] = {"stt": MeteredStt, "llm": MeteredLlm, "tts": MeteredTts}


@asynccontextmanager
async def open_services(config: Config, metrics: Metrics) -> AsyncIterator[Services]:
    """Returns when the connections are warm, or have had their time; closes everything on leaving."""
    services = Services(config, metrics)
    async with AsyncExitStack() as stack:
        for client in services.clients.values():
            stack.push_async_callback(client.aclose)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        is_warm = {key: asyncio.Event() for key in services.clients}
        warming = [
            tasks.create_task(_keep_warm(client, is_warm[key]), name=f"warm-{key[0]}-{key[1]}")
            for key, client in services.clients.items()
        ]
        try:
            await _all_of([event.wait for event in is_warm.values()], _FIRST_WARMING_S)
            if cold := [name for (name, _), event in is_warm.items() if not event.is_set()]:
                log.warning("services_not_warm", services=cold)
            yield services
        finally:
            for task in warming:
                task.cancel()


async def _all_of(waits: list[Callable[[], Awaitable[object]]], timeout_s: float) -> None:
    try:
        async with asyncio.timeout(timeout_s):
            for wait in waits:
                await wait()
    except TimeoutError:
        pass


async def _keep_warm(client: Client, is_warm: asyncio.Event) -> None:
    while True:
        await client.warm()
        is_warm.set()
        await asyncio.sleep(_WARM_EVERY_S)


def service_settings(name: str, service: ServiceConfig) -> ServiceSettings:
    """What a client is made of."""
    return ServiceSettings(
        name=name,
        model=service.model or "",
        url=service.url or "",
        api_key=service.key,
        region=service.region or "",
        voice=service.voice or "",
        language=service.language or "",
        temperature=service.temperature,
        max_tokens=service.max_tokens,
        timeout_s=service.timeout_s,
        http2=service.http2,
        ca_file=str(service.ca_file or ""),
        cert_file=str(service.cert_file or ""),
        key_file=str(service.key_file or ""),
        headers={key: value.get_secret_value() for key, value in service.headers.items()},
        extra=service.extra,
    )
