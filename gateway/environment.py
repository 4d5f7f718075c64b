# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads the settings: one TOML file, overridden by the environment, every fault reported with where it came from.

    parley.toml + PARLEY_SECTION__KEY > tree > pydantic (gateway.config) > contradictions > Config, or every fault

`PARLEY_SIP__PORT=5070` is `[sip] port`, `PARLEY_AGENTS__RECEPTIONIST__VOICE` is `[agents.receptionist] voice`. Lists
are comma-separated or JSON. A `[[trunk]]` or `[[route]]` is meant by its name or by its number, the first being 1:
`PARLEY_TRUNK__ACME__PASSWORD`; `PARLEY_TRUNK` and `PARLEY_ROUTE` replace them all, in JSON. Variables without `__`
that name no section (PARLEY_CACHE...) are not settings.
"""

import copy
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from agent.local.models import default_model_folder
from gateway.config import Config, SettingSource
from gateway.contradictions import ConfigPath, contradictions
from gateway.errors import ConfigError, Fault
from gateway.trunks.profiles import load_profile

PREFIX = "PARLEY_"
_SECRETS = frozenset(
    {
        "api_key",
        "api_keys",
        "password",
        "encryption_key",
        "old_encryption_keys",
        "redis_url",
        "secret",
        "secrets",
        "url",
    }
    | {"token", "headers", "env", "extra", "body"}
)
"""Keys whose values are never repeated in a message (URLs may carry a password)."""

_LISTS_OF_TABLES = (("trunk",), ("route",), ("webhook",))

_ATTEMPTS = 5
"""Taking out a key may leave its table without one it needs, which is taken out next."""


@dataclass(slots=True)
class _Settings:
    """The raw tree, and which parts of it the environment set."""

    file: Path | None
    tree: dict[str, Any]
    variables: dict[ConfigPath, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)

    def source_of(self, path: ConfigPath) -> str:
        """`parley.toml: sip.port`, or the variable that set it."""
        for length in range(len(path), 0, -1):
            variable = self.variables.get(path[:length])
            if variable is not None:
                below = _dotted(path[length:])
                return f"{variable} {below}".rstrip()
        return f"{self.file or 'settings'}: {_dotted(path)}"


def default_config_file(folder: Path) -> Path | None:
    """The file that is read when none is named: `parley.toml` in the folder, if there is one."""
    file = folder / "parley.toml"
    return file if file.exists() else None


def default_data_folder(environ: Mapping[str, str]) -> Path:
    """`$XDG_DATA_HOME/parley`, or `~/.local/share/parley` (XDG Base Directory Specification)."""
    data_home = environ.get("XDG_DATA_HOME", "")
    return (Path(data_home) if os.path.isabs(data_home) else Path.home() / ".local" / "share") / "parley"


def load_config(file: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the file (None: no file) and the environment. Raises `ConfigError` with every fault found."""
    settings = _read_file(file)
    _overlay(settings, environ)
    config = _validate(settings, environ)
    if config is None:
        raise ConfigError(tuple(settings.faults))
    config.remember_sources(lambda path: _source_kind(settings, path))
    return config


def _source_kind(settings: _Settings, path: ConfigPath) -> SettingSource:
    """Where the value of a setting comes from: `environment`, `file` or `default`."""
    if any(path[:length] in settings.variables for length in range(1, len(path) + 1)):
        return "environment"
    node: Any = settings.tree
    for key in path:
        try:
            node = node[key]
        except (KeyError, IndexError, TypeError):
            return "default"
    return "file"


def _read_file(file: Path | None) -> _Settings:
    if file is None:
        return _Settings(None, {})
    settings = _Settings(file, {})
    try:
        settings.tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        settings.faults.append(Fault(str(file), "there is no such file"))
    except OSError as error:
        settings.faults.append(Fault(str(file), f"cannot be read: {error.strerror}"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        settings.faults.append(Fault(str(file), f"is not valid TOML: {error}"))
    return settings


# The environment


def _overlay(settings: _Settings, environ: Mapping[str, str]) -> None:
    sections = tuple(Config.model_fields)
    # Shorter names first: PARLEY_TRUNK replaces the list that PARLEY_TRUNK__ACME__PASSWORD then changes.
    for variable in sorted((name for name in environ if name.startswith(PREFIX)), key=lambda name: (len(name), name)):
        parts = variable.removeprefix(PREFIX).lower().split("__")
        if len(parts) == 1 and tuple(parts) not in _LISTS_OF_TABLES:
            section = next((name for name in sections if parts[0].startswith(f"{name}_")), None)
            if parts[0] in sections:
                settings.faults.append(Fault(variable, f"is a section; name a key of it: {variable}__KEY"))
            elif section is not None:
                meant = f"{PREFIX}{section}__{parts[0].removeprefix(f'{section}_')}".upper()
                settings.faults.append(Fault(variable, f"is no setting; did you mean {meant} (two underscores)?"))
            continue
        if parts[0] not in sections:
            settings.faults.append(Fault(variable, f"there is no section {parts[0]!r}: one of {', '.join(sections)}"))
            continue
        problem = _set(settings, parts, environ[variable], variable)
        if problem is not None:
            settings.faults.append(Fault(variable, problem))


def _set(settings: _Settings, parts: list[str], text: str, variable: str) -> str | None:
    """Put the value into the tree; the problem when there is no such place, or it cannot be read."""
    node: Any = settings.tree
    path: ConfigPath = ()
    for depth, part in enumerate(parts):
        last = depth + 1 == len(parts)
        key = _key_in(node, part)
        if key is None:
            return f"there is no {_dotted(path)} {part!r} that could be changed"
        path = (*path, key)
        if last:
            try:
                node[key] = _value_of(text, _type_at(path))
            except json.JSONDecodeError as error:
                return f"is not valid JSON: {error}"
        elif not _holds_several(_type_at(path)):
            return f"{_dotted(path)} has nothing below it"
        elif isinstance(node, dict):
            node = node.setdefault(key, [] if path in _LISTS_OF_TABLES else {})
        else:
            node = node[key]
    settings.variables[path] = variable
    return None


def _value_of(text: str, kind: Any) -> object:
    """Text for pydantic to convert, unless the key holds several values: then JSON, or a list with commas."""
    if not _holds_several(kind):
        return text
    if text.lstrip()[:1] in ("[", "{"):
        return json.loads(text)
    return [part.strip() for part in text.split(",") if part.strip()]


def _holds_several(kind: Any) -> bool:
    if get_origin(kind) in (tuple, list, dict) or _is_table(kind):
        return True
    return get_origin(kind) in (Annotated, Union, UnionType) and any(_holds_several(part) for part in get_args(kind))


def _key_in(node: object, part: str) -> str | int | None:
    if isinstance(node, dict):
        return next((key for key in node if _same_name(key, part)), part)
    if isinstance(node, list):
        if part.isdecimal() and 0 < int(part) <= len(node):
            return int(part) - 1
        for index, item in enumerate(node):
            if isinstance(item, dict) and _same_name(str(item.get("name", "")), part):
                return index
    return None


def _same_name(key: str, part: str) -> bool:
    """Names in variables are upper case and have no hyphens."""
    return key.lower().replace("-", "_") == part


# Validation


def _validate(settings: _Settings, environ: Mapping[str, str]) -> Config | None:
    tree = copy.deepcopy(settings.tree)
    folder = settings.file.parent if settings.file else Path()
    _fill_folders(settings, tree, environ)
    for tool in _named_tables(tree.get("tools")).values():
        if isinstance(tool.get("openapi"), str) and "\n" not in tool["openapi"]:  # else it is the document itself
            tool["openapi"] = str(folder / Path(tool["openapi"]).expanduser())
    _fill_named_secrets(settings, tree, environ)
    _lay_profiles_under(settings, tree, folder)
    context = {"folder": folder}
    config, positions = _validate_what_is_sound(settings, tree, context)
    settings.faults.extend(_dangling_names(settings, settings.tree))
    if config is not None:
        named = {fault.source for fault in settings.faults}
        for path, problem in contradictions(config):
            source = settings.source_of(_original(path, positions))
            if source not in named:  # a key that was taken out for its own fault is not missing
                settings.faults.append(Fault(source, problem))
    return None if settings.faults else config


def _validate_what_is_sound(
    settings: _Settings, tree: dict[str, Any], context: Mapping[str, Path]
) -> tuple[Config | None, "_Positions"]:
    """Note every faulty key, take those keys out and validate the rest: so one run shows contradictions as well.

    The rest is no configuration to run with; `settings.faults` says so.
    """
    positions: _Positions = {}
    for attempt in range(_ATTEMPTS):
        try:
            return Config.model_validate(_without_gaps(tree, positions), context=context), positions
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                if attempt == 0:  # later ones only follow from what was taken out
                    settings.faults.append(_fault_of(settings, detail))
                _take_out(tree, _original(detail["loc"], positions), missing=detail["type"] == "missing")
    return None, positions


def _fill_folders(settings: _Settings, tree: dict[str, Any], environ: Mapping[str, str]) -> None:
    defaults = (("store", "data_dir", default_data_folder), ("models", "folder", default_model_folder))
    for section, key, default in defaults:
        table = tree.setdefault(section, {})
        if isinstance(table, dict) and key not in table:
            try:
                table[key] = str(default(environ))
            except RuntimeError:  # no home folder (pathlib): a service account
                settings.faults.append(Fault(f"{section}.{key}", "must be set: there is no home folder to put it in"))


def _fill_named_secrets(settings: _Settings, tree: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Keys that stand in environment variables of the operator's own choice."""
    for section, key in (("services", "api_key"), ("tools", "token")):
        for name, table in _named_tables(tree.get(section)).items():
            variable = table.get(f"{key}_env")
            if not isinstance(variable, str) or key in table:
                continue
            if variable in environ:
                table[key] = environ[variable]
            else:
                source = settings.source_of((section, name, f"{key}_env"))
                settings.faults.append(Fault(source, f"the environment has no {variable}"))


def _lay_profiles_under(settings: _Settings, tree: dict[str, Any], folder: Path) -> None:
    """What a trunk does not set is as its profile has it."""
    for index, trunk in enumerate(_tables(tree.get("trunk"))):
        name = trunk.get("profile")
        if not isinstance(name, str):
            continue
        try:
            profile = load_profile(name, folder)
        except ConfigError as error:
            source = settings.source_of(("trunk", index, "profile"))
            settings.faults.extend(Fault(source, _in_profile(name, fault)) for fault in error.faults)
            trunk.setdefault("host", "unknown")  # the profile may have one: that none is there follows from this fault
        else:
            for key, value in profile.items():
                trunk.setdefault(key, value)


def _in_profile(name: str, fault: Fault) -> str:
    return fault.problem if fault.source == name else str(fault)


def _fault_of(settings: _Settings, detail: ErrorDetails) -> Fault:
    path = tuple(part for part in detail["loc"] if part != "[key]")
    problem = detail["msg"].removeprefix("Value error, ").replace("Input should ", "must ")
    match detail["type"]:
        case "extra_forbidden":
            known = _known_keys(path[:-1])
            problem = f"there is no such key; known here: {', '.join(known)}" if known else "there is no such key"
        case "missing":
            problem = "is missing"
        case "value_error":
            pass
        case _ if not _SECRETS.intersection(path) and isinstance(detail["input"], (str, int, float, bool)):
            problem = f"{problem}, not {detail['input']!r}"
    return Fault(settings.source_of(path), problem)


def _known_keys(path: ConfigPath) -> list[str]:
    """Keys of the table at this path, as a user writes them."""
    model = _table_in(_type_at(path))
    return [] if model is None else [info.alias or name for name, info in model.model_fields.items()]


def _type_at(path: ConfigPath) -> Any:
    """The declared type of the key at this path; None when there is no such key."""
    kind: Any = Config
    for part in path:
        if not _is_table(kind):
            kind = _table_in(kind)  # an entry of a list or of a dict of tables: `part` is its number or name
            continue
        info = next((info for name, info in kind.model_fields.items() if part in (name, info.alias)), None)
        kind = None if info is None else info.annotation
    return kind


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _table_in(kind: Any) -> type[BaseModel] | None:
    """The model inside `tuple[Model, ...]`, `dict[str, Model]` or `Model | None`."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind
    return next((model for part in get_args(kind) if (model := _table_in(part)) is not None), None)


def _dangling_names(settings: _Settings, tree: Mapping[str, Any]) -> Iterator[Fault]:
    """Names that lead nowhere. From the raw tree: a trunk with a broken port is still there."""
    trunks = list(dict.fromkeys(str(trunk.get("name")) for trunk in _tables(tree.get("trunk"))))
    agents = _named_tables(tree.get("agents")) or {"receptionist": {}}
    services = list(_named_tables(tree.get("services")))
    wanted: list[tuple[ConfigPath, str, object, list[str]]] = []
    for index, route in enumerate(_tables(tree.get("route"))):
        wanted.append((("route", index, "trunk"), "trunk", route.get("trunk"), trunks))
        wanted.append((("route", index, "agent"), "agent", route.get("agent"), list(agents)))
    for name, agent in agents.items():
        for key in ("stt", "llm", "tts"):
            wanted.append((("agents", name, key), "service", agent.get(key), ["local", *services]))
        wanted.append((("agents", name, "realtime"), "service", agent.get("realtime"), ["off", *services]))
        turn = agent.get("turn")
        detector = turn.get("detector") if isinstance(turn, dict) else None
        wanted.append((("agents", name, "turn", "detector"), "service", detector, ["local", "none", *services]))
    for name, service in _named_tables(tree.get("services")).items():
        members = service.get("of")
        for index, member in enumerate(members if isinstance(members, list) else ()):
            known = ["local", *(other for other in services if other != name)]
            wanted.append((("services", name, "of", index), "service", member, known))
    for path, what, value, known in wanted:
        if isinstance(value, str) and value not in known:
            allowed = f"one of {', '.join(known)}" if known else "none is configured"
            yield Fault(settings.source_of(path), f"there is no {what} {value!r}: {allowed}")


def _named_tables(value: object) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict):
        return {}
    return {str(name): item if isinstance(item, dict) else {} for name, item in value.items()}


def _tables(value: object) -> list[dict[str, Any]]:
    return [item if isinstance(item, dict) else {} for item in value] if isinstance(value, list) else []


_Positions = dict[str, list[int]]
"""For each list of tables: where the tables that are left stood before."""


def _take_out(tree: dict[str, Any], path: ConfigPath, *, missing: bool) -> None:
    """Remove the key at the path, or the table that lacks it; items of lists leave a gap (None)."""
    node: Any = tree
    for depth, part in enumerate(path[:-1] if missing else path):
        below = node.get(part) if isinstance(node, dict) else node[part] if isinstance(part, int) else None
        is_end = depth + 1 == len(path) - missing
        if not is_end and isinstance(below, dict | list):
            node = below
        elif isinstance(node, dict):
            node.pop(part, None)
            return
        else:
            node[part] = None
            return


def _without_gaps(tree: dict[str, Any], positions: _Positions) -> dict[str, Any]:
    for (name,) in _LISTS_OF_TABLES:
        if isinstance(tree.get(name), list):
            positions[name] = [index for index, item in enumerate(tree[name]) if item is not None]

    def compact(value: object) -> Any:
        if isinstance(value, dict):
            return {key: compact(item) for key, item in value.items()}
        return [compact(item) for item in value if item is not None] if isinstance(value, list) else value

    return {key: compact(value) for key, value in tree.items()}


def _original(path: ConfigPath, positions: Mapping[str, list[int]]) -> ConfigPath:
    match path:
        case (str(name), int(index), *rest) if index < len(positions.get(name, [])):
            return (name, positions[name][index], *rest)
    return path


def _dotted(path: ConfigPath) -> str:
    """`sip.port`; tables of a list by number, the first being #1: `route#1.match`."""
    text = ""
    for part in path:
        text += f"#{part + 1}" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")
