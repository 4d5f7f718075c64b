# SPDX-License-Identifier: GPL-3.0-or-later
"""Types of settings that are more than text or a number: what does not fit is refused with what would.

A path is taken from the folder that the validation context names (`folder`), the working directory without one.
"""

import ipaddress
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationInfo

from gateway.signing import SigningSecret
from gateway.streams.order import Fallback
from media.encryption import EncryptionKey


class Section(BaseModel):
    """A table of the configuration file: unknown keys are faults, values do not change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)


def _from_folder(value: Path, info: ValidationInfo) -> Path:
    folder = (info.context or {}).get("folder", Path())
    return Path(folder) / value.expanduser()


def _existing_file(value: Path) -> Path:
    if not value.is_file():
        raise ValueError(f"there is no file {value}")
    return value


def _ipv4_address(value: str) -> str:
    try:
        return str(ipaddress.IPv4Address(value))
    except ValueError as error:
        raise ValueError("must be an IPv4 address like 203.0.113.5") from error


def _ipv6_address(value: str) -> str:
    try:
        return str(ipaddress.IPv6Address(value.strip("[]")))
    except ValueError as error:
        raise ValueError("must be an IPv6 address like 2001:db8::5") from error


def _network(value: str) -> str:
    try:
        return str(ipaddress.ip_network(value, strict=True))
    except ValueError as error:
        raise ValueError(f"must be an address or a network like 203.0.113.0/24 ({error})") from error


def _regular_expression(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"is not a regular expression: {error}") from error
    return value


def _name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", value):
        raise ValueError("a name is letters, digits, - and _, at most 64")
    return value


def _node_id(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", value):
        raise ValueError("must be letters, digits, dots, - and _, at most 64")
    return value


def _host_and_port(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+(:\d{1,5})?", value):
        raise ValueError("must be a host name or IPv4 address, with :PORT when it is not the usual one")
    return value


def _header_text(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ValueError("must be printable ASCII text")
    return value


def _bearer_key(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("an API key must be printable ASCII without spaces")
    if text.startswith("sha256:") and not re.fullmatch(r"sha256:[0-9A-Fa-f]{64}", text):
        raise ValueError("sha256: is followed by the key's SHA-256 in hex (printf %s KEY | sha256sum)")
    return value


def _signing_secret(value: SecretStr) -> SecretStr:
    SigningSecret.parse(value.get_secret_value())
    return value


def _web_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be a URL like https://example.com/parley")
    return value


def _web_origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or value != f"{parts.scheme}://{parts.netloc}":
        raise ValueError("must be an origin like https://shop.example, without a path")
    return value.lower()


def _service_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
        raise ValueError("must be a URL like https://example.com/v1 or wss://example.com")
    return value


def _fallback(value: str, info: ValidationInfo) -> str:
    fallback = Fallback.parse(value)
    if fallback.kind != "play":
        return value
    return f"play {_existing_file(_from_folder(Path(fallback.name), info))}"


def _encryption_key(value: SecretStr) -> SecretStr:
    EncryptionKey.parse(value.get_secret_value())
    return value


Port = Annotated[int, Field(ge=0, le=65535)]
FolderPath = Annotated[Path, AfterValidator(_from_folder)]
ExistingFile = Annotated[Path, AfterValidator(_from_folder), AfterValidator(_existing_file)]
Ipv4Address = Annotated[str, AfterValidator(_ipv4_address)]
Ipv6Address = Annotated[str, AfterValidator(_ipv6_address)]
Network = Annotated[str, AfterValidator(_network)]
Pattern = Annotated[str, AfterValidator(_regular_expression)]
Name = Annotated[str, AfterValidator(_name)]
NodeId = Annotated[str, AfterValidator(_node_id)]
SigningSecretText = Annotated[SecretStr, AfterValidator(_signing_secret)]
HeaderText = Annotated[str, AfterValidator(_header_text)]
BearerKey = Annotated[SecretStr, AfterValidator(_bearer_key)]
EncryptionKeyText = Annotated[SecretStr, AfterValidator(_encryption_key)]
HostAndPort = Annotated[str, AfterValidator(_host_and_port)]
FallbackText = Annotated[str, AfterValidator(_fallback)]
ServiceUrl = Annotated[str, AfterValidator(_service_url)]
WebOrigin = Annotated[str, AfterValidator(_web_origin)]
WebUrl = Annotated[str, AfterValidator(_web_url)]
