# SPDX-License-Identifier: GPL-3.0-or-later
"""`parley recording`: recordings that are encrypted at rest."""

import argparse
import os
from pathlib import Path

from gateway.commands.api import Subcommands, add_config, config_of
from gateway.commands.complaint import complain, failed


def add_commands(commands: Subcommands) -> None:
    """To those of `parley`."""
    recording = commands.add_parser("recording", help="read recordings that are encrypted at rest")
    recordings = recording.add_subparsers(required=True, metavar="COMMAND")
    decrypt = recordings.add_parser("decrypt", help="write a recording in clear", description=_decrypt.__doc__)
    decrypt.add_argument("file", type=Path, metavar="FILE", help="CALL_ID.wav.enc or CALL_ID.ogg.enc")
    decrypt.add_argument("-o", "--out", type=Path, metavar="OUT", help="where to (default: FILE without .enc)")
    add_config(decrypt)
    decrypt.set_defaults(run=_decrypt)


def _decrypt(options: argparse.Namespace) -> int:
    """Write an encrypted recording in clear, with the key of the configuration (PARLEY_STORE__ENCRYPTION_KEY). Nothing
    is overwritten. Exit code 0, also for a recording that breaks off, which is said; 1 when it cannot be read."""
    from media.errors import MediaError
    from media.recording_source import RecordingSource
    from media.sealed import SEALED_SUFFIX

    if not options.file.name.endswith(SEALED_SUFFIX):
        failed(f"{options.file.name} is not encrypted (its name does not end with {SEALED_SUFFIX}): play it as it is")
    out: Path = options.out or options.file.with_suffix("")
    try:
        with RecordingSource(options.file, config_of(options).store.key) as source:
            target = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                with os.fdopen(target, "wb") as file:
                    for block in source.read():
                        file.write(block)
            except BaseException:
                out.unlink()  # half a recording would look like a whole one
                raise
            if source.is_truncated:
                complain(f"{options.file.name} breaks off: its end was never written, or is cut")
    except MediaError as error:
        failed(str(error))
    except OSError as error:
        failed(f"{error.filename or out}: {error.strerror}")
    print(out)
    return 0
