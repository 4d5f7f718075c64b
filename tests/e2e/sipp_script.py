# SPDX-License-Identifier: GPL-3.0-or-later
"""SIPp scenarios written step by step: SIPp plays them, this only spares us the XML.

    caller = SippScript("echo")               # SIPp calls the gateway ...
    caller.request("INVITE", sdp=sdp())
    caller.receive(100, 180, optional=True)
    caller.receive(200, has=["a=sendrecv"])   # ... and fails when a message is missing, wrong, or another one comes
    caller.ack()

Who begins with `receive("INVITE")` is called; requests inside the dialog may go either way from then on.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from xml.sax.saxutils import quoteattr

from tests.e2e.gateway_process import wait_for
from tests.e2e.peers import PORTS

_TERMINAL = {**os.environ, "TERM": "dumb"}
_REASONS = {100: "Trying", 180: "Ringing", 183: "Session Progress", 200: "OK", 491: "Request Pending"}
_HEADERS_KEPT = ("Via", "From", "To", "CSeq")
PCMU = "RTP/AVP 0\na=rtpmap:0 PCMU/8000"


def sdp(media: str = PCMU, *attributes: str, version: int = 1, address: str = "[media_ip]") -> str:
    """A session description; `media` is all that follows the port on its m= line."""
    head = f"v=0\no=sipp 1 {version} IN IP4 [media_ip]\ns=-\nc=IN IP4 {address}\nt=0 0\nm=audio [media_port] {media}"
    return "\n".join([head, *attributes])


class SippScript:
    """The steps of one scenario, in their order."""

    def __init__(self, user: str = "") -> None:
        self.user = user
        """Who is called; empty: we are."""
        self._steps: list[str] = []
        self._variables: list[str] = []
        self._cseq = 0
        self.invite = (0, 0, "")
        """Step, CSeq and URI of our last INVITE."""
        self.has_dialog = False
        self.tag = "[pid]t[call_number]"
        """Ours."""
        self._outside: set[str] = set()
        """Methods whose last request came outside a dialog: our responses name us."""

    # What we send

    def request(self, method: str, *headers: str, sdp: str = "", cseq: int | None = None) -> None:
        """Inside the dialog if there is one."""
        self._cseq = cseq or self._cseq + 1
        uri = "[$target]" if self.has_dialog else f"sip:{self.user}@[remote_ip]:[remote_port]"
        if method == "INVITE":
            self.invite = len(self._steps), self._cseq, uri
        to = "[$them]" if self.has_dialog else f" <{uri}>"
        self._request(method, uri, "[branch]", to, self._cseq, headers, sdp, ' retrans="500"')

    def ack(self, *headers: str, sdp: str = "", refused: bool = False) -> None:
        """Of our last INVITE; one that was refused is ended within its transaction (RFC 3261 section 17.1.1.3)."""
        step, cseq, uri = self.invite
        if refused:
            self._request("ACK", uri, f"[branch-{len(self._steps) - step}]", "[$them]", cseq, headers, sdp)
        else:
            self._request("ACK", "[$target]", "[branch]", "[$them]", cseq, headers, sdp)

    def cancel(self, *headers: str) -> None:
        """Of our last INVITE, whose branch and CSeq it has (RFC 3261 section 9.1)."""
        step, cseq, uri = self.invite
        self._request("CANCEL", uri, f"[branch-{len(self._steps) - step}]", f" <{uri}>", cseq, headers, "")

    def respond(
        self, code: int, *headers: str, to: str, sdp: str = "", tag: str = "", reason: str = "", retrans: bool = False
    ) -> None:
        """To the last request of method `to`. `retrans`: until something comes, as for a 200 to INVITE."""
        lines = [f"SIP/2.0 {code} {reason or _REASONS.get(code, 'Because')}"]
        lines += [f"{name}:[${to}_{name.lower()}]" for name in ("Via", "From")]
        lines += [f"To:[${to}_to]" + (f";tag={tag or self.tag}" if to in self._outside and code > 100 else "")]
        lines += [f"CSeq:[${to}_cseq]", *self._common(headers)]
        self._message(lines, sdp, ' retrans="500"' if retrans else "")
        self.has_dialog = self.has_dialog or 100 < code < 300

    def repeat(self, step: int) -> None:
        """Send the same message again, byte for byte."""
        again = self._steps[step].replace("[branch]", f"[branch-{len(self._steps) - step}]")
        self._steps.append(again.replace(' retrans="500"', ""))

    def pause(self, milliseconds: int) -> None:
        self._steps.append(f'  <pause milliseconds="{milliseconds}"/>')

    @property
    def last(self) -> int:
        """The step before, for `repeat`."""
        return len(self._steps) - 1

    # What we await

    def receive(
        self,
        *what: int | str,
        has: Sequence[str] = (),
        lacks: Sequence[str] = (),
        keep: Mapping[str, str] = MappingProxyType({}),
        optional: bool = False,
    ) -> None:
        """A response or a request; several must be optional. `has` and `lacks` are regular expressions; `keep` names
        headers whose values later messages have as `[$name]`."""
        for one in what:
            self._receive(one, has, lacks, keep, optional)

    def _receive(
        self, what: int | str, has: Sequence[str], lacks: Sequence[str], keep: Mapping[str, str], optional: bool
    ) -> None:
        actions = [self._search(pattern, "msg", 'check_it="true"') for pattern in has]
        actions += [self._search(pattern, "msg", 'check_it_inverse="true"') for pattern in lacks]
        actions += [self._search(".*", "hdr", f'header="{header}:"', name) for name, header in keep.items()]
        if isinstance(what, str):
            if what == "CANCEL" or (what == "INVITE" and not self.user and not self.has_dialog):
                self._outside.add(what)
                if what == "INVITE":
                    actions += [self._search(".*", "hdr", 'header="To:"', "us")]
                    actions += [self._search(".*", "hdr", 'header="From:"', "them"), self._target()]
            else:
                self._outside.discard(what)
            actions += [
                self._search(".*", "hdr", f'header="{name}:"', f"{what}_{name.lower()}") for name in _HEADERS_KEPT
            ]
            kind = f'request="{what}"'
        else:
            if self.user and what > 100:
                actions += [self._search(".*", "hdr", 'header="To:"', "them")]
                if what < 300:
                    actions += [self._target()]
            kind = f'response="{what}"'
        self.has_dialog = self.has_dialog or (what == "ACK" if isinstance(what, str) else 100 < what < 300)
        options = ' optional="true"' if optional else ""
        action = "\n    <action>\n" + "\n".join(actions) + "\n    </action>\n  " if actions else ""
        self._steps.append(f"  <recv {kind}{options}>{action}</recv>")

    def _target(self) -> str:
        return self._search("sip:[^>]*", "hdr", 'header="Contact:"', "target")

    def _search(self, pattern: str, where: str, options: str, name: str = "") -> str:
        name = name or f"found{len(self._variables)}"
        if name not in self._variables:
            self._variables.append(name)
        return f'      <ereg regexp={quoteattr(pattern)} search_in="{where}" {options} assign_to="{name}"/>'

    def _request(
        self,
        method: str,
        uri: str,
        branch: str,
        to: str,
        cseq: int,
        headers: Sequence[str],
        body: str,
        options: str = "",
    ) -> None:
        us = f" <sip:sipp@[local_ip]:[local_port]>;tag={self.tag}" if self.user else f"[$us];tag={self.tag}"
        lines = [f"{method} {uri} SIP/2.0", f"Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch}"]
        lines += [f"From:{us}", f"To:{to}", f"CSeq: {cseq} {method}", "Max-Forwards: 70", *self._common(headers)]
        self._message(lines, body, options)

    def _common(self, headers: Sequence[str]) -> list[str]:
        contact = "Contact: <sip:sipp@[local_ip]:[local_port];transport=[transport]>"
        return ["Call-ID: [call_id]", contact, *headers]

    def _message(self, lines: list[str], body: str, options: str) -> None:
        kind = ["Content-Type: application/sdp"] if body else []
        text = "\n".join([*lines, *kind, "Content-Length: [len]", "", body])
        self._steps.append(f"  <send{options}>\n    <![CDATA[\n{text}\n    ]]>\n  </send>")

    # The run

    def xml(self) -> str:
        """For SIPp."""
        steps = "\n".join(self._steps)
        known = f'\n  <Reference variables="{",".join(self._variables)}"/>' if self._variables else ""
        return f'<?xml version="1.0" encoding="UTF-8"?>\n<scenario name="script">\n{steps}{known}\n</scenario>\n'

    def start(self, folder: Path, gateway_port: int, *options: str) -> "SippRun":
        """Play it against the gateway on this port of 127.0.0.1."""
        return SippRun(self, folder, gateway_port, options)


class SippRun:
    """SIPp at work; it ends by itself within 30 s."""

    def __init__(self, script: SippScript, folder: Path, gateway_port: int, options: Sequence[str]) -> None:
        self.port = next(PORTS)
        self._errors = folder / f"errors-{self.port}.log"
        scenario = folder / f"script-{self.port}.xml"
        scenario.write_text(script.xml())
        command = ["sipp", f"127.0.0.1:{gateway_port}", "-sf", str(scenario), "-i", "127.0.0.1", "-p", str(self.port)]
        command += ["-mi", "127.0.0.1", "-mp", str(self.port + 4), "-m", "1", "-nostdin", "-timeout", "30s"]
        command += ["-timeout_error", "-recv_timeout", "12000", "-trace_err", "-error_file", str(self._errors)]
        self._process = subprocess.Popen(
            [*command, *options], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=_TERMINAL
        )

    @property
    def call_id(self) -> str:
        """Of one that calls."""
        return f"1-{self._process.pid}@"

    @property
    def uri(self) -> str:
        """Of one that is called."""
        return f"sip:sipp@127.0.0.1:{self.port}"

    def wait_for_its_socket(self) -> None:
        """Who is called must listen first."""
        line = f":{self.port:04X} "
        wait_for(lambda: line in Path("/proc/net/udp").read_text(), "SIPp's socket")

    def check(self) -> None:
        """Wait for its end; every message came as the script has it."""
        code = self._process.wait(40)
        assert code == 0, self._errors.read_text() if self._errors.exists() else f"SIPp ended with {code}"
