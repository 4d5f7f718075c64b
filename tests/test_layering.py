# SPDX-License-Identifier: GPL-3.0-or-later
"""The house rules that a machine can check: who may import whom, where foreign libraries live, what files look like.

When one of these fails, either the code has taken a wrong turn, or the house has changed: then change the table, in the
same commit, and say why.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Each package, and what it may import of ours. One way: media < agent < gateway.
DIRECTION = {
    "media": {"media"},
    "agent": {"media", "agent"},
    "gateway": {"media", "agent", "gateway"},
}

# Each foreign library, and the only folder or files that may know it.
DOORS = {
    "aioice": ["gateway/webrtc/"],
    "aiortc": ["gateway/webrtc/"],
    "aiosqlite": ["gateway/store/"],
    "alembic": ["gateway/store/"],
    "asyncpg": ["gateway/store/"],
    "av": ["media/audio_file.py", "media/ogg_opus.py", "media/voice_codecs.py"],
    "cryptography": ["media/encryption.py"],
    "ctranslate2": ["agent/local/"],
    "dns": ["gateway/trunks/nameserver.py"],
    "fastapi": ["gateway/api/"],
    "httpcore": ["gateway/outbound.py"],
    "httpx2": ["agent/tools/mcp.py"],
    "jsonschema": ["agent/tools/", "gateway/mcp/"],
    "mcp": ["agent/tools/mcp.py", "gateway/mcp/"],
    "mcp_types": ["agent/tools/mcp.py", "gateway/mcp/"],
    "onnxruntime": ["agent/local/"],
    "phonenumbers": ["gateway/campaigns/numbers.py"],
    "picows": ["agent/websocket.py"],
    "piper": ["agent/local/"],
    "pjsua2": ["gateway/sip/", "media/ports.py"],
    "prometheus_client": ["gateway/telemetry/"],
    "pypdf": ["agent/knowledge/pdf.py"],
    "redis": ["gateway/cluster/"],
    "referencing": ["agent/tools/running.py"],
    "pylibsrtp": ["gateway/webrtc/"],
    "rich": ["gateway/commands/campaign_display.py"],
    "soxr": ["media/resample.py"],
    "sqlalchemy": ["gateway/store/"],
    "starlette": ["gateway/api/"],
    "tokenizers": ["agent/local/"],
    "uvicorn": ["gateway/api/"],
    "uvloop": ["gateway/app.py"],
    "webrtc_noise_gain": ["media/noise.py"],
    "webrtcvad": ["media/vad.py"],
    "yaml": ["agent/tools/openapi.py"],
    "websockets": ["gateway/api/connections.py", "gateway/client/", "gateway/conformance/"],
}

# Foreign libraries that are part of the language here.
EVERYWHERE = {"httpx", "numpy", "pydantic", "pydantic_core", "scipy", "structlog"}

# The entry points of commands: they hand the environment to the configuration. Nothing else looks at it.
ENVIRONMENT = [
    *("gateway/cli.py", "gateway/commands/api.py", "gateway/config.py", "gateway/environment.py"),
    "agent/local/models.py",
    *("gateway/evaluation/main.py", "gateway/evaluation/target.py"),  # a command, and the gateway that it starts
]

# Names for files that have no subject.
DRAWERS = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "base"}

SOURCE_FOLDERS = [*DIRECTION, "tests", "scripts", ".ci"]
SOURCE_SUFFIXES = {".py", ".pyi", ".c", ".cpp", ".h", ".hpp", ".i", ".sh", ".js", ".css", ".html", ".sql"}
SPDX = "SPDX-License-Identifier: GPL-3.0-or-later"


def is_source(path: Path) -> bool:
    """By its name, or as a script by its first two characters."""
    if path.suffix:
        return path.suffix in SOURCE_SUFFIXES
    with path.open("rb") as file:
        return file.read(2) == b"#!"


def in_folders(*folders: str) -> list[str]:
    files = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    return sorted(
        path.relative_to(ROOT).as_posix()
        for path in files
        if "__pycache__" not in path.parts and path.is_file() and is_source(path)
    )


SOURCES = in_folders(*SOURCE_FOLDERS)
MODULES = [path for path in SOURCES if path.endswith(".py") and path.split("/")[0] in DIRECTION]


def imported(code: str) -> Iterator[str]:
    """The full name of every module a piece of code imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield module


def reads_environment(code: str) -> bool:
    """Whether a piece of code looks at the process's environment."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr="environ" | "environb" | "getenv" | "getenvb"):
                return True
            case ast.ImportFrom(module="os", names=names) if any("env" in alias.name for alias in names):
                return True
    return False


def is_drawer(path: str) -> bool:
    """Whether a file or one of its folders is named after nothing in particular."""
    return any(not DRAWERS.isdisjoint(re.split(r"[_.]", part)) for part in path.split("/"))


def behind(doors: list[str], path: str) -> bool:
    return any(path.startswith(door) if door.endswith("/") else path == door for door in doors)


def faults_of_imports(path: str, code: str) -> list[str]:
    faults = []
    package = path.split("/")[0]
    for module in imported(code):
        root = module.split(".")[0]
        if root in DIRECTION or root in ("tests", "scripts"):
            if root not in DIRECTION[package]:
                faults.append(f"{path}: {package} must not import {module}")
        elif root in DOORS:
            if not behind(DOORS[root], path):
                faults.append(f"{path}: {root} belongs to {' and '.join(DOORS[root])} only")
        elif root not in EVERYWHERE and root not in sys.stdlib_module_names:
            faults.append(f"{path}: {root} has no door yet: give it one in this test")
    return faults


def read(path: str) -> str:
    return (ROOT / path).read_text()


def test_imports_point_one_way_and_foreign_libraries_stay_behind_their_doors() -> None:
    assert [fault for path in MODULES for fault in faults_of_imports(path, read(path))] == []


def test_only_entry_points_look_at_the_environment() -> None:
    assert [path for path in MODULES if path not in ENVIRONMENT and reads_environment(read(path))] == []


def test_every_source_file_names_its_licence() -> None:
    assert [path for path in SOURCES if not any(SPDX in line for line in read(path).splitlines()[:5])] == []


def test_no_file_is_a_drawer() -> None:
    assert [path for path in SOURCES if is_drawer(path)] == []


def test_there_is_something_to_check() -> None:
    assert len(MODULES) > 20
    assert {path.split("/")[0] for path in MODULES} == set(DIRECTION)
    assert "scripts/run" in SOURCES
    assert "media/native/pcm_port.cpp" in SOURCES


@pytest.mark.parametrize(
    ("path", "code", "fault"),
    [
        ("media/gain.py", "import agent.turn", "media must not import agent.turn"),
        ("media/gain.py", "def f():\n    from gateway.sip import call", "media must not import gateway.sip"),
        ("agent/turn.py", "import gateway", "agent must not import gateway"),
        ("gateway/app.py", "from tests.media import sound", "gateway must not import tests.media"),
        ("gateway/app.py", "import pjsua2 as pj", "pjsua2 belongs to gateway/sip/ and media/ports.py only"),
        ("media/ports_of_call.py", "import pjsua2", "pjsua2 belongs to"),
        ("gateway/calls/call.py", "from sqlalchemy.orm import Session", "sqlalchemy belongs to"),
        ("media/gain.py", "import importlib\nimportlib.import_module('webrtcvad')", "webrtcvad belongs to"),
        ("media/gain.py", "import os, requests", "requests has no door yet"),
    ],
)
def test_a_wrong_import_is_found(path: str, code: str, fault: str) -> None:
    (found,) = faults_of_imports(path, code)
    assert found.startswith(f"{path}: {fault}")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("media/vad.py", "import webrtcvad\nimport numpy as np\nfrom media.frames import PcmFrame"),
        ("agent/turn.py", "from media.frames import PcmFrame\nfrom . import events"),
        ("gateway/sip/call.py", "import pjsua2\nfrom agent.session import Session\nimport os.path"),
    ],
)
def test_a_right_import_is_left_alone(path: str, code: str) -> None:
    assert faults_of_imports(path, code) == []


@pytest.mark.parametrize(
    ("code", "reads"),
    [
        ("import os\nx = os.environ['HOME']", True),
        ("import os\nx = os.getenv('HOME')", True),
        ("from os import environ", True),
        ("import os\nos.path.join('a', 'b')", False),
        ("def load(environ: dict[str, str]) -> None: ...", False),
    ],
)
def test_looking_at_the_environment_is_noticed(code: str, reads: bool) -> None:
    assert reads_environment(code) is reads


@pytest.mark.parametrize(
    ("path", "drawer"),
    [
        ("media/utils.py", True),
        ("agent/helpers/audio.py", True),
        ("gateway/call_manager.py", True),
        ("media/native/common.hpp", True),
        ("media/database.py", False),
        ("media/gain.py", False),
    ],
)
def test_a_drawer_is_known_by_its_name(path: str, drawer: bool) -> None:
    assert is_drawer(path) is drawer
