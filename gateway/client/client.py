# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's API, typed: one method for each thing it can do.

async with ParleyClient("http://127.0.0.1:8080", api_key) as parley:
    call = await parley.place("sip:1000@192.0.2.20", agent="receptionist")
    async for event in parley.events(call_id=call.call_id):
        print(event.kind, event.data)
"""

import asyncio
import contextlib
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, Self
from urllib.parse import quote

import httpx

from gateway.client.campaigns import Campaigns
from gateway.client.errors import NotReachable
from gateway.client.events import EventFeed
from gateway.client.http import HttpApi
from gateway.client.models import (
    AgentOrder,
    ApiKeyRecord,
    BridgeInfo,
    BridgeOrder,
    CallerMemory,
    CallInfo,
    CallList,
    CreatedKey,
    CreateKey,
    DtmfOrder,
    EventPage,
    FlowOrder,
    HangUpOrder,
    IssuedToken,
    IssueToken,
    KeyList,
    KeysOrder,
    MuteOrder,
    NodeInfo,
    NodeList,
    PlaceCall,
    Playback,
    PlayOrder,
    RecordOrder,
    SayOrder,
    SessionPage,
    SessionRecord,
    SessionSignalling,
    StartStream,
    StopOrder,
    Stopped,
    StopStream,
    StreamInfo,
    StreamList,
    StreamOrder,
    SuperviseOrder,
    TransferOrder,
    WorkInfo,
    WorkList,
)

Metadata = Mapping[str, str]
Scope = Literal[
    "calls:read", "calls:write", "streams", "sessions:read", "sessions:erase", "events", "campaigns", "admin"
]
"""What an API key may do."""

_TIMEOUT_S = 30.0
_PLACE_PAUSES_S = (0.5, 2.0)
"""Before placing a call is tried again over a connection that broke."""


class ParleyClient:
    """One gateway. Used with `async with`, or closed by `aclose`.

    Every method raises `NotReachable`, `BadAnswer` or one of `ApiError`'s kinds (`gateway.client.errors`).
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        timeout_s: float = _TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`base_url`: `http://127.0.0.1:8080`. `transport`: another way to it than httpx's own (a proxy, a test)."""
        self.base_url = base_url.rstrip("/")
        self._api_key = api_key
        self._http = HttpApi(self.base_url, api_key, timeout_s=timeout_s, transport=transport)
        self.campaigns = Campaigns(self._http)
        """Lists of people to call."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close what connections there are."""
        await self._http.aclose()

    # Calls

    async def place(
        self,
        to: str,
        *,
        from_: str | None = None,
        profile: str | None = None,
        agent: str | None = None,
        stream: StreamOrder | None = None,
        flow: FlowOrder | None = None,
        play: PlayOrder | None = None,
        metadata: Metadata | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
        region: str | None = None,
        idempotency_key: str | None = None,
    ) -> CallInfo:
        """Dial; returns while it rings.

        It is safe to ask again with the same `idempotency_key`: there will be one call. Without a key of yours one is
        made up for this request, which is repeated when the connection breaks before the answer has come.
        """
        order = PlaceCall(
            to=to,
            from_=from_,
            profile=profile,
            agent=agent,
            stream=stream,
            flow=flow,
            play=play,
            metadata=dict(metadata or {}),
            headers=dict(headers or {}),
            timeout_s=timeout_s,
            region=region,
        )
        key = {"Idempotency-Key": idempotency_key or secrets.token_urlsafe(16)}
        for pause_s in _PLACE_PAUSES_S:
            with contextlib.suppress(NotReachable):
                return await self._http.post("/calls", order, CallInfo, key)
            await asyncio.sleep(pause_s)
        return await self._http.post("/calls", order, CallInfo, key)

    async def calls(self) -> tuple[CallInfo, ...]:
        """The calls that are not over, oldest first; in a cluster, those of all nodes that answer."""
        return (await self._http.get("/calls", CallList)).calls

    async def call(self, call_id: str) -> CallInfo:
        """A call; `NotFound` once it is over: see `session`."""
        return await self._http.get(_of(call_id), CallInfo)

    async def answer(self, call_id: str) -> CallInfo:
        """Answer an inbound call that rings until somebody decides."""
        return await self._http.post(f"{_of(call_id)}/answer", None, CallInfo)

    async def hangup(self, call_id: str, *, code: int | None = None, reason: str = "") -> None:
        """End a call, or refuse one that rings here with a SIP status."""
        await self._http.request("POST", f"{_of(call_id)}/hangup", HangUpOrder(code=code, reason=reason))

    async def hold(self, call_id: str) -> CallInfo:
        """Put the far end on hold."""
        return await self._http.post(f"{_of(call_id)}/hold", None, CallInfo)

    async def resume(self, call_id: str) -> CallInfo:
        """Take it back from hold."""
        return await self._http.post(f"{_of(call_id)}/resume", None, CallInfo)

    async def mute(self, call_id: str, side: Literal["ours", "theirs"] = "ours") -> CallInfo:
        """Send silence in place of what we say; or let nobody hear the far end."""
        return await self._http.post(f"{_of(call_id)}/mute", MuteOrder(side=side), CallInfo)

    async def unmute(self, call_id: str, side: Literal["ours", "theirs"] = "ours") -> CallInfo:
        """End that."""
        return await self._http.post(f"{_of(call_id)}/unmute", MuteOrder(side=side), CallInfo)

    async def dtmf(
        self,
        call_id: str,
        digits: str,
        *,
        method: Literal["auto", "rfc4733", "info", "inband"] = "auto",
        duration_ms: int = 120,
        secret: bool = False,
    ) -> None:
        """Press keys at the far end; a comma waits 2 s, a w half a second."""
        order = DtmfOrder(digits=digits, method=method, duration_ms=duration_ms, secret=secret)
        await self._http.request("POST", f"{_of(call_id)}/dtmf", order)

    async def keys(self, call_id: str, *, secret: bool) -> CallInfo:
        """Declare that what the far end presses from now on is secret, or is not any more."""
        return await self._http.post(f"{_of(call_id)}/keys", KeysOrder(secret=secret), CallInfo)

    async def play(
        self, call_id: str, *, file: str | None = None, url: str | None = None, loop: int = 1, gain: float = 1.0
    ) -> Playback:
        """Play a recording to the far end, after the announcements before it; what the call is for waits."""
        return await self._http.post(
            f"{_of(call_id)}/play", PlayOrder(file=file, url=url, loop=loop, gain=gain), Playback
        )

    async def say(self, call_id: str, text: str, *, voice: str | None = None, language: str | None = None) -> Playback:
        """The same with words."""
        return await self._http.post(
            f"{_of(call_id)}/say", SayOrder(text=text, voice=voice, language=language), Playback
        )

    async def stop(self, call_id: str, playback_id: str | None = None) -> Stopped:
        """End one announcement, or all."""
        return await self._http.post(f"{_of(call_id)}/stop", StopOrder(playback_id=playback_id), Stopped)

    async def record(self, call_id: str, state: Literal["start", "pause", "resume", "stop"]) -> CallInfo:
        """Govern the recording. A pause is in force when this returns."""
        return await self._http.post(f"{_of(call_id)}/record", RecordOrder(state=state), CallInfo)

    async def transfer(
        self,
        call_id: str,
        to: str | None = None,
        *,
        to_call_id: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> CallInfo:
        """Send the far end elsewhere: to an address (blind), or to the far end of another call of ours (attended)."""
        order = TransferOrder(
            to=to,
            mode="blind" if to_call_id is None else "attended",
            call_id=to_call_id,
            headers=dict(headers or {}),
            timeout_s=timeout_s,
        )
        return await self._http.post(f"{_of(call_id)}/transfer", order, CallInfo)

    async def agent(self, call_id: str, agent: str | None = None) -> CallInfo:
        """Hand the call to an agent, from whatever has it."""
        return await self._http.post(f"{_of(call_id)}/agent", AgentOrder(agent=agent), CallInfo)

    # Calls that hear each other

    async def bridge(
        self,
        call_id: str,
        other_call_id: str | None = None,
        *,
        to: str | None = None,
        from_: str | None = None,
        profile: str | None = None,
        timeout_s: float = 60.0,
        metadata: Metadata | None = None,
        on_end: Literal["return", "hangup"] = "return",
    ) -> BridgeInfo:
        """Let the call talk to another one that stands, or to somebody who is dialled first."""
        order = BridgeOrder(
            call_id=other_call_id,
            to=to,
            from_=from_,
            profile=profile,
            timeout_s=timeout_s,
            metadata=dict(metadata or {}),
            on_end=on_end,
        )
        return await self._http.post(f"{_of(call_id)}/bridge", order, BridgeInfo)

    async def unbridge(self, call_id: str) -> None:
        """Part them: each gets back what it was for before."""
        await self._http.request("POST", f"{_of(call_id)}/unbridge")

    async def supervise(
        self, call_id: str, supervisor: str, mode: Literal["listen", "whisper", "barge", "off"] = "listen"
    ) -> None:
        """Let another call listen to this one, whisper to it, or barge in; again: change that."""
        await self._http.request("POST", f"{_of(call_id)}/supervise", SuperviseOrder(supervisor=supervisor, mode=mode))

    # Streams and events

    async def start_stream(self, call_id: str, order: StreamOrder) -> StreamInfo:
        """Connect a call that stands to a backend. One that talks takes the call over; others hear it beside."""
        return await self._http.post("/stream/start", StartStream(call_id=call_id, **dict(order)), StreamInfo)

    async def stop_stream(self, stream_id: str) -> StreamInfo:
        """End a stream; its call goes on as the order's `on_end` says."""
        return await self._http.post("/stream/stop", StopStream(stream_id=stream_id), StreamInfo)

    async def streams(self, call_id: str) -> tuple[StreamInfo, ...]:
        """The call's streams that have not ended, oldest first."""
        return (await self._http.get(f"{_of(call_id)}/streams", StreamList)).streams

    async def create_token(
        self, call_id: str | None = None, *, scope: Literal["stream", "listen"] = "stream", ttl_s: int = 60
    ) -> IssuedToken:
        """A token with which a backend attaches itself to a call, once (`attach`)."""
        return await self._http.post("/tokens", IssueToken(call_id=call_id, scope=scope, ttl_s=ttl_s), IssuedToken)

    def events(
        self,
        *,
        after: int | None = None,
        position: str | None = None,
        call_id: str | None = None,
        kinds: Sequence[str] = (),
    ) -> EventFeed:
        """What happens on calls from now on, or after a cursor (0: from the oldest that is kept), or, in a cluster, a
        position; of one call, or of some kinds (`call.ended`, `transcript.*`) only. Survives drops."""
        return EventFeed(self.base_url, self._api_key, after=after, position=position, call_id=call_id, kinds=kinds)

    async def past_events(
        self, after: int = 0, *, limit: int = 100, call_id: str | None = None, kinds: Sequence[str] = ()
    ) -> EventPage:
        """A page of events that are kept; `after=page.cursor` for the next."""
        parameters = {"after": str(after), "limit": str(limit)}
        if call_id is not None:
            parameters["call_id"] = call_id
        if kinds:
            parameters["kinds"] = ",".join(kinds)
        return await self._http.get("/events", EventPage, parameters)

    # Sessions

    async def sessions(self, *, limit: int = 50, before: str | None = None) -> SessionPage:
        """Sessions without what was said, newest first; `before=page.next` for older ones."""
        parameters = {"limit": str(limit), **({} if before is None else {"before": before})}
        return await self._http.get("/sessions", SessionPage, parameters)

    async def session(self, call_id: str) -> SessionRecord:
        """Everything about one call, also while it runs."""
        return await self._http.get(_session(call_id), SessionRecord)

    async def erase_session(self, call_id: str) -> None:
        """Erase every trace of a call that is over."""
        await self._http.request("DELETE", _session(call_id))

    async def save_recording(self, call_id: str, path: Path) -> None:
        """Write the recording of a call that is over to a file: WAV or Ogg, as `recording_facts.format` says."""
        await self._http.save(f"{_session(call_id)}/recording", path)

    async def signalling(self, call_id: str) -> SessionSignalling:
        """Every SIP message of a call, also while it runs."""
        return await self._http.get(f"{_session(call_id)}/signalling", SessionSignalling)

    async def save_capture(self, call_id: str, path: Path) -> None:
        """Write them to a file for Wireshark or sngrep."""
        await self._http.save(f"{_session(call_id)}/signalling.pcap", path)

    # What is remembered of callers

    async def memories(self, caller: str) -> CallerMemory:
        """What agents remember of a caller: `sip:anna@192.0.2.7`, or a bare number."""
        return await self._http.get("/memories", CallerMemory, {"caller": caller})

    async def forget(self, caller: str) -> None:
        """Erase it, and what the caller has answered to being remembered."""
        await self._http.request("DELETE", "/memories", parameters={"caller": caller})

    # The gateway

    async def work(self) -> tuple[WorkInfo, ...]:
        """What takes a while: what is under way, then what was over last."""
        return (await self._http.get("/work", WorkList)).work

    # The cluster

    async def nodes(self) -> tuple[NodeInfo, ...]:
        """The gateways of the cluster; none: this one is alone."""
        return (await self._http.get("/nodes", NodeList)).nodes

    async def drain(self, node_id: str) -> NodeInfo:
        """Let a node take no more calls, hand over those it has, and end."""
        return await self._http.post(f"/nodes/{quote(node_id, safe='')}/drain", None, NodeInfo)

    # API keys

    async def create_key(self, name: str, scopes: Sequence[Scope], *, ttl_days: int | None = None) -> CreatedKey:
        """A new API key; its `key` is told this once."""
        return await self._http.post("/keys", CreateKey(name=name, scopes=tuple(scopes), ttl_days=ttl_days), CreatedKey)

    async def api_keys(self) -> tuple[ApiKeyRecord, ...]:
        """The keys that were made so, without what opens."""
        return (await self._http.get("/keys", KeyList)).keys

    async def revoke_key(self, key_id: str) -> None:
        """From now on it opens nothing."""
        await self._http.request("DELETE", f"/keys/{quote(key_id, safe='')}")


def _of(call_id: str) -> str:
    return f"/calls/{quote(call_id, safe='')}"


def _session(call_id: str) -> str:
    return f"/sessions/{quote(call_id, safe='')}"
