# SPDX-License-Identifier: GPL-3.0-or-later
"""Kamailio as the PBX or the carrier's edge before Parley: registrar with digest, and proxy that records its route."""

import os
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

USER, PASSWORD = "trunk7", "right horse"

_CONFIG = """
debug=2
log_stderror=yes
fork=no
children=1
listen=udp:127.0.0.1:{port}
listen=tcp:127.0.0.1:{port}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "maxfwd.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("rr", "enable_full_lr", 1)
modparam("auth", "nonce_expire", 60)
modparam("usrloc", "db_mode", 0)
request_route {{
    if (!mf_process_maxfwd_header("10")) {{ sl_send_reply("483", "Too Many Hops"); exit; }}
    if (is_method("CANCEL")) {{ if (t_check_trans()) t_relay(); exit; }}
    if (has_totag()) {{
        if (loose_route() || uri != myself) {{ t_relay(); exit; }}
        if (is_method("ACK") && t_check_trans()) t_relay();
        exit;
    }}
    t_check_trans();
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("127.0.0.1", "{password}", "0")) {{ www_challenge("127.0.0.1", "1"); exit; }}
        save("location");
        exit;
    }}
    if (is_method("OPTIONS") && uri == myself) {{ sl_send_reply("200", "OK"); exit; }}
    # Who has registered may call out, by password; who has not is a caller from the world, for who has.
    if (is_method("INVITE") && $fU == "{user}") {{
        if (!pv_proxy_authenticate("127.0.0.1", "{password}", "0")) {{ proxy_challenge("127.0.0.1", "1"); exit; }}
        consume_credentials();
    }}
    record_route();
    if ($rU == "outside") {{
        $ru = "{outside}";
        t_relay();
        exit;
    }}
    # A number that was dialled reaches the one who registered, as the number.
    $var(number) = $rU;
    $rU = "{user}";
    if (!lookup("location")) {{ sl_send_reply("404", "Not Found"); exit; }}
    $rU = $var(number);
    t_relay();
}}
"""


class Kamailio:
    """Started by `with`. `outside`: where calls to the number `outside` go."""

    def __init__(self, folder: Path, outside: str = "sip:nobody@127.0.0.1:9") -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._folder = folder
        self._config = folder / "kamailio.cfg"
        self._config.write_text(_CONFIG.format(port=self.port, user=USER, password=PASSWORD, outside=outside))

    def __enter__(self) -> Self:
        with (self._folder / "kamailio.log").open("wb") as log:
            self._process = subprocess.Popen(
                ["kamailio", "-f", str(self._config), "-DD", "-E", "-m", "32", "-M", "4", "-Y", str(self._folder)],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 10
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.bind(("127.0.0.1", 0))
            asking.settimeout(0.2)
            port = asking.getsockname()[1]
            question = (
                f"OPTIONS sip:127.0.0.1:{self.port} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKup\r\n"
                f"Max-Forwards: 5\r\nFrom: <sip:up@127.0.0.1>;tag=1\r\nTo: <sip:127.0.0.1:{self.port}>\r\n"
                f"Call-ID: up\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            ).encode()
            while True:
                asking.sendto(question, ("127.0.0.1", self.port))
                try:
                    asking.recv(2048)
                except (TimeoutError, ConnectionRefusedError):
                    assert time.monotonic() < deadline, self.log()
                    assert self._process.poll() is None, self.log()
                    time.sleep(0.05)
                else:
                    return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, 15)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, 9)
            self._process.wait(5)

    def log(self) -> str:
        return (self._folder / "kamailio.log").read_text(errors="replace")
