# SPDX-License-Identifier: GPL-3.0-or-later
"""Services on premises, behind a certificate authority of their own."""

import ssl
from pathlib import Path
from typing import Any

import pytest

from agent.clients.deepgram_stt import deepgram_stt
from agent.clients.openai_chat import OpenAiChat
from agent.clients.openai_realtime import OpenAiRealtime
from agent.clients.settings import ServiceSettings
from agent.errors import ServiceRejected, ServiceUnavailable
from agent.services.realtime import TalkOrder
from tests.agent.clients.contract_llm import answer_of, text_of
from tests.fakes.certificate import make_certificate
from tests.simulators.deepgram import DeepgramServer
from tests.simulators.openai_chat import OpenAiChatServer
from tests.simulators.realtime import RealtimeModel


@pytest.fixture
def certificate(tmp_path: Path) -> str:
    return str(make_certificate(tmp_path, "localhost"))


def served_with(certificate: str, *, for_clients_of: str = "") -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    if for_clients_of:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(for_clients_of)
    return context


async def asked(tls: ssl.SSLContext, **settings: Any) -> str:
    async with OpenAiChatServer(tls=tls) as server:
        llm = OpenAiChat(ServiceSettings("own", "tiny", f"https://localhost:{server.port}/v1", **settings))
        try:
            await llm.warm()
            return text_of(await answer_of(llm))
        finally:
            await llm.aclose()


async def test_an_authority_of_ones_own_is_trusted_when_it_is_named(certificate: str) -> None:
    assert await asked(served_with(certificate), ca_file=certificate) == "Certainly."


async def test_without_it_the_service_is_none_and_asking_again_would_not_help(certificate: str) -> None:
    with pytest.raises(ServiceRejected, match="its certificate is not one that we trust"):
        await asked(served_with(certificate))


async def test_another_name_than_the_certificates_is_not_trusted(tmp_path: Path) -> None:
    other = str(make_certificate(tmp_path, "models.example.com"))
    with pytest.raises(ServiceRejected, match="certificate"):
        await asked(served_with(other), ca_file=other)


async def test_a_service_that_asks_who_we_are_is_shown_our_certificate(certificate: str, tmp_path: Path) -> None:
    ours = str(make_certificate(tmp_path, "gateway"))
    strict = served_with(certificate, for_clients_of=ours)
    with pytest.raises(ServiceUnavailable):
        await asked(strict, ca_file=certificate)
    assert await asked(strict, ca_file=certificate, cert_file=ours) == "Certainly."


async def test_websockets_trust_it_as_well(certificate: str) -> None:
    server = DeepgramServer(["Hello"])
    server.tls = served_with(certificate)
    async with server:
        url = f"wss://localhost:{server.url.rpartition(':')[2]}"
        trusting = deepgram_stt(ServiceSettings("ears", url=url, api_key=server.key, ca_file=certificate))
        stream = await trusting.open(sample_rate_hz=16_000, on_partial=lambda _: None)
        await stream.aclose()
        with pytest.raises(ServiceUnavailable):
            await deepgram_stt(ServiceSettings("ears", url=url, api_key=server.key)).open(
                sample_rate_hz=16_000, on_partial=lambda _: None
            )
    assert len(server.upgrades) == 1


async def test_speech_to_speech_services_are_trusted_as_well(certificate: str) -> None:
    async with RealtimeModel(tls=served_with(certificate)).running() as address:
        url = address.partition("/realtime")[0]
        order = TalkOrder(8000, "Be brief.")
        trusting = OpenAiRealtime(ServiceSettings("talker", url=url, api_key="test-key", ca_file=certificate))
        await trusting.open(order, lambda _: None)
        await trusting.aclose()
        with pytest.raises(ServiceUnavailable):
            await OpenAiRealtime(ServiceSettings("talker", url=url, api_key="test-key")).open(order, lambda _: None)


@pytest.mark.parametrize("key", ["ca_file", "cert_file"])
@pytest.mark.parametrize("content", [None, "no certificate"], ids=["missing", "broken"])
def test_a_file_that_cannot_be_used_is_told_at_once(tmp_path: Path, key: str, content: str | None) -> None:
    file = tmp_path / "some.pem"
    if content is not None:
        file.write_text(content)
    settings: dict[str, Any] = {key: str(file)}
    with pytest.raises(ServiceRejected, match="own: ca_file, cert_file or key_file"):
        OpenAiChat(ServiceSettings("own", "tiny", "https://localhost/v1", **settings))
