# SPDX-License-Identifier: GPL-3.0-or-later
"""Names that strangers write into their messages are not looked up where every call would wait for the answer."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.gateway_process import GatewayProcess
from tests.e2e.raw_caller import RawCaller

_WITNESS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
typedef int lookup(const char *, const char *, const struct addrinfo *, struct addrinfo **);
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    FILE *log = fopen(getenv("WITNESS"), "a");
    if (log) { fprintf(log, "%s\n", node ? node : ""); fclose(log); }
    return ((lookup *)dlsym(RTLD_NEXT, "getaddrinfo"))(node, service, hints, found);
}
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with every name that the process asks the system for, from now on."""
    compiler = shutil.which("gcc")
    assert compiler is not None
    source, library, log = tmp_path / "witness.c", tmp_path / "witness.so", tmp_path / "asked"
    source.write_text(_WITNESS)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    log.touch()
    monkeypatch.setenv("WITNESS", str(log))
    monkeypatch.setenv("LD_PRELOAD", str(library))
    return log


def test_the_host_of_a_media_address_or_contact_is_not_looked_up(asked: Path, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, '[[route]]\naction = "echo"\n', record=False) as gateway:
        assert asked.read_text(), "the witness sees lookups: those of our own addresses, at the start"
        with RawCaller(gateway.sip_port) as caller:
            offer = caller.offer().replace("c=IN IP4 127.0.0.1", "c=IN IP4 media.stranger.test")
            assert caller.invite("echo", body=offer).code >= 400
        with RawCaller(gateway.sip_port) as caller:
            assert caller.invite("echo").code == 200
            assert caller.bye("echo").code == 200
    assert "stranger" not in asked.read_text()
