# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley trace`: the SIP messages of a call."""

import argparse
import json
from pathlib import Path

from gateway.commands.api import Subcommands, add_gateway, add_json, answer_of, calling_api
from gateway.commands.complaint import misused
from gateway.sip.ladder import ladder, texts


def add_commands(commands: Subcommands) -> None:
    """To those of `parley`."""
    trace = commands.add_parser("trace", help="the SIP messages of a call, as a ladder", description=_trace.__doc__)
    trace.add_argument("call", metavar="CALL", help="its id, or `last`")
    trace.add_argument("--full", action="store_true", help="the messages, whole")
    trace.add_argument("--pcap", type=Path, metavar="FILE", help="write them as a capture for Wireshark or sngrep")
    add_gateway(trace)
    add_json(trace, "print the messages as JSON")
    trace.set_defaults(run=_trace)


def _trace(options: argparse.Namespace) -> int:
    """Show what passed between the gateway and a peer on a call, also while it runs. Exit code 1 when nothing was kept
    (trace.keep)."""
    with calling_api(options) as api:
        call_id = str(options.call)
        if call_id == "last":
            sessions = answer_of(api.get("/sessions", params={"limit": 1}))["sessions"]
            if not sessions:
                misused("there was no call yet")
            call_id = str(sessions[0]["call_id"])
        messages = answer_of(api.get(f"/sessions/{call_id}/signalling"))["messages"]
        if options.pcap is not None:
            capture = api.get(f"/sessions/{call_id}/signalling.pcap")
            options.pcap.write_bytes(capture.raise_for_status().content)
    if options.json:
        print(json.dumps(messages))
    elif options.pcap is not None:
        print(f"{options.pcap}: {len(messages)} messages of {call_id}")
    else:
        print(f"{call_id}\n{texts(messages) if options.full else ladder(messages)}")
    return 0 if messages else 1
