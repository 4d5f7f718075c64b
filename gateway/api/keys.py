# SPDX-License-Identifier: GPL-3.0-or-later
"""`/keys`: API keys with scopes. The key itself is shown once; only its hash is kept."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.exceptions import HTTPException

from gateway.api.keyring import KeyRing, key_hash, new_key
from gateway.api.numbers import JSON_NUMBER
from gateway.api.orders import NO_CONTROLS
from gateway.api.problems import problem_responses
from gateway.api.scopes import Role, Scope, scopes_of
from gateway.store import ApiKeyRecord, KeyLimits, SessionStore

_Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=64, pattern=NO_CONTROLS)]], Field(max_length=50)]
_OF_ALL: frozenset[Scope] = frozenset({"admin", "audit"})


class CreateKey(BaseModel):
    """A key to make."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    name: Annotated[str, Field(min_length=1, max_length=64)]
    """What it is for, for people."""
    scopes: Annotated[list[Scope | Role], Field(min_length=1, max_length=10)]
    """What it may do: scopes, or roles that stand for several."""
    only_agents: _Names = []
    """See and touch calls, sessions, campaigns and events of these agents only; none: of all."""
    only_tags: _Names = []
    """Likewise, of calls with one of these tags (`metadata.tag`)."""
    only_trunks: _Names = []
    """Likewise, of calls through these trunks."""
    ttl_days: Annotated[int | None, Field(ge=1, le=3650), JSON_NUMBER] = None
    """How long it is good; null: until it is revoked."""

    @property
    def only(self) -> KeyLimits | None:
        limits = KeyLimits(agents=tuple(self.only_agents), tags=tuple(self.only_tags), trunks=tuple(self.only_trunks))
        return None if limits == KeyLimits() else limits

    @model_validator(mode="after")
    def _limits_hold(self) -> "CreateKey":
        if self.only is not None and not scopes_of(self.scopes).isdisjoint(_OF_ALL):
            raise ValueError("a key with admin or audit sees everything: it cannot be limited")
        return self


class CreatedKey(ApiKeyRecord):
    """A new key. This is the only time that it is shown."""

    key: str


class KeyList(BaseModel):
    """The keys that were made here, oldest first; those of the configuration are not among them."""

    keys: list[ApiKeyRecord]


def keys_router(store: SessionStore, ring: KeyRing) -> APIRouter:
    """The routes over this store; what they change is in force at once."""
    router = APIRouter(prefix="/keys", tags=["keys"], responses=problem_responses(401, 422, 503))

    @router.post("", status_code=201, responses=problem_responses(413))
    async def create_key(order: CreateKey) -> CreatedKey:
        """Make a key."""
        now = datetime.now(UTC)
        record = ApiKeyRecord(
            key_id=f"key_{secrets.token_hex(8)}",
            name=order.name,
            scopes=tuple(sorted(set(order.scopes))),
            only=order.only,
            created_at=now,
            expires_at=None if order.ttl_days is None else now + timedelta(days=order.ttl_days),
        )
        key = new_key()
        hashed = key_hash(key.encode())
        await store.add_api_key(hashed, record)
        ring.add(hashed, record)
        return CreatedKey(**record.model_dump(), key=key)

    @router.get("")
    async def list_keys() -> KeyList:
        """The keys, without what opens."""
        return KeyList(keys=[record for _, record in await store.api_keys()])

    @router.delete("/{key_id}", status_code=204, responses=problem_responses(404))
    async def revoke_key(key_id: Annotated[str, Path(max_length=64)]) -> None:
        """From now on it opens nothing."""
        if not await store.revoke_api_key(key_id):
            raise HTTPException(404, "there is no such key: those of the configuration are revoked there")
        ring.remove(key_id)

    return router
