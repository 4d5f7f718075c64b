# SPDX-License-Identifier: GPL-3.0-or-later
"""What calls are for: the activity they get, by the route they take or by the order that placed them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Protocol, assert_never

from gateway.api.bridging import InterpretOrder
from gateway.api.orders import PlaceCall
from gateway.calls.activity import Activity, Echo, Play, PlayPrompt
from gateway.calls.attendance import StartActivity
from gateway.calls.bridge import Bridges
from gateway.calls.call import Call
from gateway.calls.early_media import EarlyPrompt
from gateway.calls.interpreting import Interpreters, Interpreting
from gateway.calls.prompts import Prompt
from gateway.calls.route import RouteConfig
from gateway.calls.verdict import BeforeAnswer
from gateway.config import Config
from gateway.errors import CallRejected, NoSuchAgent, UnknownLanguage
from gateway.streams.request import order_of_request, order_of_route
from gateway.streams.streams import Streams
from media.frames import PcmSamples
from media.wav import read_wav

_TEMPORARILY_UNAVAILABLE = 480
DialRoute = Callable[[Call, RouteConfig, StartActivity], Awaitable[Call]]
"""Dials whom a route leads to, for its caller; what is to begin when they answer."""


class Agents(Interpreters, Protocol):
    """Makes the activity of an agent on a call."""

    def __contains__(self, name: str) -> bool: ...

    def start(self, name: str, call: Call) -> Activity: ...

    def dump(self, call: Call) -> str | None:
        """The conversation of the agent that has this call, for another gateway; None: none has."""
        ...

    def load(self, call: Call, dumped: str, *, apologize: bool) -> None:
        """The agent that is to begin on this call goes on with this conversation; `apologize`: after a silence."""

    def expect(self, call: Call) -> Coroutine[object, object, None] | None:
        """What is to be run from now on, so that all is there when the call is answered; None: nothing."""
        ...


class Purposes:
    """Of every call of this process."""

    def __init__(self, config: Config, agents: Agents, streams: Streams, bridges: Bridges, dial: DialRoute) -> None:
        self._config = config
        self._agents = agents
        self._streams = streams
        self._bridges = bridges
        self._dial = dial
        # Read once, at the start: a call must not wait for the disk, nor find the file gone.
        files = (file for route in config.routes for file in (route.file, route.ringing_file) if file is not None)
        self._files: dict[Path, tuple[PcmSamples, int]] = {file: read_wav(file) for file in files}

    def of_route(self, route: RouteConfig) -> tuple[StartActivity, BeforeAnswer | None]:
        """What a call of this route is for, and who decides over it while it rings."""
        if route.action == "reject":
            assert route.file is not None
            return lambda call: Echo(call.leg), EarlyPrompt(*self._files[route.file]).before_refusal(route.code)
        if route.action != "bridge":
            before_answer = self._before_answer(route)
            if before_answer is not None and route.ringing_file is not None:
                before_answer = EarlyPrompt(*self._files[route.ringing_file]).while_it_rings(before_answer)
            return self._activity_of(route), before_answer
        bridge = self._bridges.of_route(lambda caller, start: self._dial(caller, route, start))
        return bridge.activity, bridge.before_answer

    def _activity_of(self, route: RouteConfig) -> StartActivity:
        match route.action:
            case "echo":
                return lambda call: Echo(call.leg)
            case "play":
                assert route.file is not None
                samples, rate_hz = self._files[route.file]
                return lambda call: Play(call.leg, samples, rate_hz)
            case "agent":
                name = route.agent or ""
                return lambda call: self._agents.start(name, call)
            case "stream":
                return self._streams.activity(order_of_route(route))
            case "flow":
                return self._streams.flow(route.flow_url or "")
            case "reject" | "bridge":
                raise AssertionError(f"action {route.action} is no activity that a route starts by itself")
            case _:
                assert_never(route.action)

    def _before_answer(self, route: RouteConfig) -> BeforeAnswer | None:
        """Who decides over the route's calls while they ring; None: they are answered at once."""
        if route.answer == "auto":
            return None
        if route.answer == "backend":
            return self._streams.before_answer(order_of_route(route), route.answer_timeout_s)

        async def wait_for_the_api(_: Call) -> None:
            await asyncio.sleep(route.answer_timeout_s)
            raise CallRejected(_TEMPORARILY_UNAVAILABLE)

        return wait_for_the_api

    async def of_order(self, order: PlaceCall, play: Prompt | None) -> tuple[str | None, StartActivity]:
        """The agent, if it is one, and what the call is for when it is answered.

        Raises `NoSuchAgent`, and for streams and flows `UrlError`.
        """
        if order.flow is not None:
            await self._streams.check_flow(order.flow.flow_url)
            ask = self._streams.flow(order.flow.flow_url)
            return None, ask if play is None else _after_prompt(order, play, ask)
        if order.stream is not None:
            stream = order_of_request(order.stream, gives_back=False)
            await self._streams.check(stream)
            begin = self._streams.activity(stream)
            return None, begin if play is None else _after_prompt(order, play, begin)
        if play is not None and order.agent is None:
            return None, _after_prompt(order, play, None)
        name, start = self.agent(order.agent)
        return name, start if play is None else _after_prompt(order, play, start)

    def agent(self, name: str | None) -> tuple[str, StartActivity]:
        """This agent, None: the only one. Raises `NoSuchAgent`."""
        found = self._agent(name)
        return found, lambda call: self._agents.start(found, call)

    def interpreting(self, order: InterpretOrder | None) -> Interpreting | None:
        """Who translates between two calls; None: nobody. Raises `NoSuchAgent`, `UnknownLanguage`."""
        if order is None:
            return None
        agent = self._agent(order.agent)
        languages = (order.language, order.other_language)
        if self._config.agents[agent].stt == "local" and languages != ("en", "en"):
            raise UnknownLanguage(f"the speech recognition of agent {agent!r} is local, and that knows en only")
        return Interpreting(self._agents, agent, languages)

    def _agent(self, name: str | None) -> str:
        only_agent = next(iter(self._config.agents)) if len(self._config.agents) == 1 else ""
        name = name or only_agent
        if name not in self._agents:
            raise NoSuchAgent(name)
        return name


def _after_prompt(order: PlaceCall, play: Prompt, then: StartActivity | None) -> StartActivity:
    """First the order's recording; None: then the call is ended."""

    def play_first(call: Call) -> Activity:
        assert order.play is not None
        if then is not None:
            call.attendance.follow_with(then)
        return PlayPrompt(call.announcements, play, loop=order.play.loop, gain=order.play.gain)

    return play_first
