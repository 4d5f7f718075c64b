# SPDX-License-Identifier: GPL-3.0-or-later
"""Events of real calls reach whoever is to get them, whatever dies meanwhile. A minute: scripts/bench/webhooks."""

import json
import signal
from pathlib import Path
from typing import Any

from gateway.events import CATALOGUE
from tests.e2e.conftest import SENTENCE, Voice
from tests.e2e.echo_caller import EchoLine
from tests.e2e.event_log import ReceiverProcess, all_events, judge, open_feed
from tests.e2e.gateway_process import GatewayProcess, wait_for
from tests.e2e.raw_caller import RawCaller


def call_echo(gateway: GatewayProcess, *, hang_up: bool = True) -> RawCaller:
    caller = RawCaller(gateway.sip_port)
    assert caller.invite("echo").code == 200
    if hang_up:
        caller.bye("echo")
        caller.sip.close()
        caller.rtp.close()
    return caller


def told(gateway: GatewayProcess, *, answered: int, ended: int) -> list[dict[str, Any]] | None:
    """The log, once it tells so much. Calls that stand have their activity; who hangs up at once may never get one."""
    events = all_events(gateway)
    calls = {kind: {event["call_id"] for event in events if event["kind"] == kind} for kind in CATALOGUE}
    standing = calls["call.answered"] - calls["call.ended"]
    is_whole = (len(calls["call.answered"]), len(calls["call.ended"])) == (answered, ended)
    return events if is_whole and standing <= calls["call.activity"] else None


def test_a_conversation_is_told_from_the_first_ring_to_the_last_figure(gateway: GatewayProcess, voice: Voice) -> None:
    with open_feed(gateway, "?kinds=call.*,transcript.*,turn.*,dtmf.*,recording.*") as feed:
        assert json.loads(feed.recv(5))["kind"] == "feed.started"
        with RawCaller(gateway.sip_port) as caller:
            assert caller.invite("agent").code == 200
            line = EchoLine(caller, None)
            assert line.until_heard()
            line.listen(1.0)
            line.speak(voice.say(SENTENCE, 8000))
            assert line.until_heard()
            line.listen(1.0)
            caller.sequence += 1
            caller.send("INFO", "agent", "Signal=7\r\nDuration=160\r\n", content_type="application/dtmf-relay")
            assert caller.final("INFO").code == 200
            caller.bye("agent")
        events: list[dict[str, Any]] = []
        while not events or events[-1]["kind"] != "call.ended":
            event = json.loads(feed.recv(10))
            if events or event["kind"] == "call.offered":  # the call before may still be ending
                events.append(event)
        events = [event for event in events if event["call_id"] == events[0]["call_id"]]
    by_kind = {event["kind"]: event["data"] for event in reversed(events)}
    kinds = [event["kind"] for event in events]
    assert kinds[:2] == ["call.offered", "call.answered"]
    assert set(kinds) >= {
        "call.activity",
        "recording.changed",
        "transcript.partial",
        "transcript.final",
        "turn.measured",
        "dtmf.received",
    }
    for event in events:
        assert set(event["data"]) == set(CATALOGUE[event["kind"]].data), event["kind"]
    assert by_kind["call.activity"] == {"activity": "agent", "agent": "receptionist"}
    assert by_kind["dtmf.received"] == {"digit": "7", "secret": False}
    assert "opening" in " ".join(event["data"]["text"] for event in events if event["kind"] == "transcript.partial")
    session = gateway.newest_session(lambda session: session["call_id"] == events[0]["call_id"])
    told = [event["data"] for event in events if event["kind"] == "transcript.final"]
    assert told == session["transcript"]
    measured = [dict(event["data"]) for event in events if event["kind"] == "turn.measured"]
    assert all(0 <= turn.pop("own_ms") <= turn["response_ms"] for turn in measured)
    assert measured == session["turns"]
    ended = events[-1]["data"]
    assert (ended["reason"], ended["quality"]) == (session["end_reason"], session["quality"])
    assert [event["cursor"] for event in events] == sorted(event["cursor"] for event in events)


def test_nothing_is_lost_when_the_receiver_and_the_gateway_are_killed(tmp_path: Path) -> None:
    receiver = ReceiverProcess(tmp_path).start()
    settings = f"""
[outbound]
allow = ["127.0.0.0/8"]
[[webhook]]
url = "http://127.0.0.1:{receiver.port}/events"
[[route]]
action = "echo"
"""
    with GatewayProcess(tmp_path, settings, record=False) as first:
        call_echo(first)
        wait_for(
            lambda: any(line["event"]["kind"] == "call.ended" for line in receiver.lines()), "the first call's end"
        )
        with open_feed(first) as feed:
            position = json.loads(feed.recv(5))["cursor"]
        receiver.kill()
        for _ in range(3):
            call_echo(first)
        cut = call_echo(first, hang_up=False)
        before = wait_for(lambda: told(first, answered=5, ended=4), "all events in the database")
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
    cut.sip.close()
    cut.rtp.close()
    with GatewayProcess(tmp_path, settings, record=False) as second:
        call_echo(second)
        receiver.start()
        with open_feed(second, f"?after={position}") as feed:
            assert json.loads(feed.recv(5))["complete"]
            missed = [json.loads(feed.recv(5)) for event in before if event["cursor"] > position]
            assert missed == [event for event in before if event["cursor"] > position]
            the_end = json.loads(feed.recv(5))
        assert (the_end["kind"], the_end["data"]["reason"]) == ("call.ended", "gateway_restarted")
        assert the_end["call_id"] not in {event["call_id"] for event in before if event["kind"] == "call.ended"}
        happened = wait_for(lambda: told(second, answered=6, ended=6), "the last call's end")
        wait_for(lambda: not judge(happened, receiver.lines()).missing, "every event", 20)
        found = judge(happened, receiver.lines())
        assert (found.disordered, found.unmarked) == (0, 0)

        erased = happened[0]["call_id"]
        second.delete(f"/sessions/{erased}")
        assert erased not in {event["call_id"] for event in all_events(second)}
    receiver.kill()
