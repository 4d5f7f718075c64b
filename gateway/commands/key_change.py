# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley keys rotate` and `parley keys check`: the encryption key of what is kept, and the ones before it."""

import argparse
import asyncio
import fcntl
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

from agent.progress_line import progress_line
from gateway.commands.api import Subcommands, add_config, add_json, config_of
from gateway.commands.complaint import complain, failed

if TYPE_CHECKING:
    from gateway.config import StoreConfig
    from gateway.store.key_census import KeyCensus

_LOCK_FILE = "key-change.lock"


def add_commands(verbs: Subcommands) -> None:
    """To those of `parley keys`."""
    rotate = verbs.add_parser("rotate", help="encrypt all that is kept with store.encryption_key", description=_ROTATE)
    rotate.set_defaults(run=_rotate)
    check = verbs.add_parser("check", help="how much is encrypted with which key", description=_CHECK)
    check.set_defaults(run=_check)
    for command in (rotate, check):
        add_config(command)
        add_json(command)


_ROTATE = """Encrypt anew, with store.encryption_key, what store.old_encryption_keys or nobody has encrypted: all of the
database, and the recordings that are encrypted. Gateways may run meanwhile, if they were started with these settings.
Who begins again after a crash goes on. Exit code 1 when something still needs another key."""
_CHECK = """Count what is encrypted with which key, in the database and in the recordings. Exit code 1 when something
needs another key than store.encryption_key: then no old one may be left out."""


def _rotate(options: argparse.Namespace) -> int:
    store = config_of(options).store
    if store.key is None:
        failed("there is no key to encrypt with: set store.encryption_key (PARLEY_STORE__ENCRYPTION_KEY)")
    store.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (store.data_dir / _LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            failed("another parley keys rotate is at work here")
        return asyncio.run(_rotated(store, options))


async def _rotated(store: "StoreConfig", options: argparse.Namespace) -> int:
    from gateway.errors import StoreError
    from gateway.store.key_change import KeyChange
    from gateway.store.opening import open_transactions
    from gateway.store.recording_keys import RecordingKeyChange

    key = store.key
    assert key is not None
    await _upgraded(store)
    async with open_transactions(store.database_url) as (transaction, _):
        told = _show if sys.stderr.isatty() else _say_every(100)
        try:
            rows = await KeyChange(transaction, key).run(told)
            files = await RecordingKeyChange(store.recordings_dir, key, transaction).run(told)
        except StoreError as error:
            failed(f"{error}: begin again, and it goes on")
        except OSError as error:
            failed(f"{error.filename or store.recordings_dir}: {error.strerror}: begin again, and it goes on")
    census = await _counted(store)
    left = dict(census.not_under(_begins(key.key_id)))
    if options.json:
        print(json.dumps({"rows": asdict(rows), "recordings": asdict(files), "left": left}))
    else:
        print(f"encrypted anew: {rows.rows} rows, {files.files} recordings; {rows.callers} callers' digests")
        for count, what in (
            (rows.unreadable, "rows are damaged, or encrypted with a key that is not among these"),
            (files.unreadable, "recordings likewise"),
            (files.in_use, "recordings are of calls that go on: begin again later"),
            (files.strays, "recordings are of no session, and stay as they are"),
            (
                rows.callers_lost,
                "digests of callers cannot be made anew, nobody knows of whom they are: without the old key these "
                "callers are strangers",
            ),
            (census.audited_digests, "entries of the audit log name callers by digests; it is never rewritten"),
        ):
            if count:
                print(f"{count} {what}")
    if left:
        complain(f"{sum(left.values())} values need another key than store.encryption_key: see parley keys check")
    return 1 if left else 0


def _check(options: argparse.Namespace) -> int:
    store = config_of(options).store
    if store.url is None and not (store.data_dir / "parley.db").exists():
        failed(f"there is no database in {store.data_dir}")
    key = store.key
    census = asyncio.run(_counted(store))
    left = dict(census.not_under("" if key is None else _begins(key.key_id)))
    names = {} if key is None else {_begins(one.key_id): "old" for one in key.older} | {_begins(key.key_id): "in force"}
    if options.json:
        told = {
            "keys": names,
            "columns": {name: dict(found) for name, found in census.columns.items() if found},
            "recordings": dict(census.recordings),
            "bare_digests": census.bare_digests,
            "audited_digests": census.audited_digests,
            "left": left,
        }
        print(json.dumps(told))
        return 1 if left else 0
    for name, found in {**census.columns, "recordings": census.recordings}.items():
        for under, count in sorted(found.items()):
            print(f"{name:24} {_named(under, names):28} {count:>10,}")
    if census.bare_digests:
        print(f"{census.bare_digests} callers and consents are kept as digests alone: parley keys rotate looks for who")
    if left:
        print("something needs another key than store.encryption_key: keep the old ones, and run parley keys rotate")
    elif key is not None and key.older:
        print("nothing needs an old key any more: leave out store.old_encryption_keys")
    return 1 if left else 0


async def _counted(store: "StoreConfig") -> "KeyCensus":
    from gateway.errors import StoreError
    from gateway.store.key_census import count_columns
    from gateway.store.opening import open_transactions
    from gateway.store.recording_keys import count_recordings

    await _upgraded(store)
    try:
        async with open_transactions(store.database_url) as (transaction, _), transaction() as connection:
            census = await count_columns(connection)
    except StoreError as error:
        failed(str(error))
    census.recordings = await asyncio.to_thread(count_recordings, store.recordings_dir)
    return census


async def _upgraded(store: "StoreConfig") -> None:
    """The schema as this version knows it: nothing to do where a gateway of it runs. Raises `StartupError`."""
    from gateway.errors import StartupError
    from gateway.store.database import cause_of, shown
    from gateway.store.schema import upgrade_schema

    try:
        await asyncio.to_thread(upgrade_schema, store.database_url)
    except Exception as error:  # SQLAlchemy's, Alembic's and the driver's errors have no common root
        where = shown(store.database_url)
        raise StartupError(f"database {where} cannot be opened or brought up to date: {cause_of(error)}") from None


def _begins(key_id: bytes) -> str:
    from gateway.store.sealing import MARKED_BYTES

    return key_id[:MARKED_BYTES].hex()


def _named(under: str, names: dict[str, str]) -> str:
    if under == "clear":
        return "in clear"
    return f"key {under} ({names.get(under, 'unknown')})"


def _show(what: str, done: int, total: int) -> None:
    """On a terminal: one line that changes."""
    line = progress_line(what, done, total, "values")
    print(f"\r\033[K{line}", end="\n" if done >= total else "", file=sys.stderr, flush=True)


def _say_every(steps: int) -> Callable[[str, int, int], None]:
    """Elsewhere: a line now and then."""
    told: dict[str, int] = {}

    def say(what: str, done: int, total: int) -> None:
        told[what] = told.get(what, 0) + 1
        if done >= total or told[what] % steps == 1:
            print(progress_line(what, done, total, "values"), file=sys.stderr, flush=True)

    return say
