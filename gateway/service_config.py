# SPDX-License-Identifier: GPL-3.0-or-later
"""`[services.NAME]`: what agents may name besides `local`."""

from typing import Annotated, Any

from pydantic import Field, SecretStr, model_validator

from gateway.setting_types import ExistingFile, Section, ServiceUrl


class PriceConfig(Section):
    """`[services.NAME.price]`: what the vendor takes, in your currency, for the console's costs. 0: not counted."""

    prompt_per_million: Annotated[float, Field(ge=0)] = 0.0
    """Tokens that a language model is given."""
    cached_per_million: Annotated[float, Field(ge=0)] = 0.0
    """Of them, those that it remembers."""
    completion_per_million: Annotated[float, Field(ge=0)] = 0.0
    """Tokens that it writes."""
    audio_per_minute: Annotated[float, Field(ge=0)] = 0.0
    """Speech that is recognised."""
    characters_per_million: Annotated[float, Field(ge=0)] = 0.0
    """Text that is spoken."""


class ServiceConfig(Section):
    """`[services.NAME]`: a hosted speech or language service, or one of your own, which agents name."""

    kind: str
    """Whose protocol it speaks (docs/services.md): `openai`, `deepgram`..., or `chain`, one behind the other."""
    url: ServiceUrl | None = None
    """Without the path of the single request: `http://127.0.0.1:11434/v1`. None: the vendor's own."""
    api_key: SecretStr | None = None
    api_key_env: str | None = None
    """The environment variable that has it."""
    model: str | None = None
    region: str | None = None
    """Where the vendor has regions: `westeurope`."""
    voice: str | None = None
    """Of speech, where an agent names none: as the vendor calls it."""
    language: str | None = None
    """What is spoken, where the vendor's code is another than the agent's `language`: `en-IN`."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    """None: the service's own."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    """Of one answer."""
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 20.0
    """Without any news from the service; the agent's `deadlines` are usually shorter."""
    http2: bool = False
    """Several answers over one connection; needs the extra `http2`."""
    ca_file: ExistingFile | None = None
    """PEM: who signs the service's certificate, in place of the public authorities."""
    cert_file: ExistingFile | None = None
    """PEM: our own certificate, for services that ask for one, with its key, or that in `key_file`."""
    key_file: ExistingFile | None = None
    max_concurrent: Annotated[int, Field(ge=0)] = 0
    """What the vendor's plan allows at a time; more are not asked, and the next service of a chain is. 0: no limit."""
    max_per_s: Annotated[float, Field(ge=0)] = 0.0
    """Likewise, requests per second."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Sent with each request."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """More fields for the request, as the service has them, or others in place of ours: `reasoning_effort`..."""
    price: PriceConfig = PriceConfig()
    of: tuple[str, ...] = ()
    """Kind chain: services, and `local`, in the order in which they are asked."""
    hedge_after_ms: Annotated[int, Field(ge=0, le=60_000)] = 0
    """Kind chain: the next is asked as well when the one before has been silent for so long, and the first to answer
    is used. 0: a second or two, as fits the role."""

    @property
    def key(self) -> str:
        """The key in clear; empty: none."""
        return "" if self.api_key is None else self.api_key.get_secret_value()

    @model_validator(mode="after")
    def _keys_fit_the_kind(self) -> "ServiceConfig":
        of_chains = {"of", "hedge_after_ms"}
        if self.kind == "chain":
            foreign = sorted(self.model_fields_set - of_chains - {"kind"})
            if foreign:
                raise ValueError(f'kind "chain" has no key {", ".join(foreign)}: set it where its members are')
            if len(self.of) < 2:
                raise ValueError('kind "chain" needs the key of: two services or more, as in of = ["one", "local"]')
            if len(set(self.of)) < len(self.of):
                raise ValueError("a service is in it twice")
        elif foreign := sorted(self.model_fields_set & of_chains):
            raise ValueError(f'only kind "chain" has the key {", ".join(foreign)}')
        return self
