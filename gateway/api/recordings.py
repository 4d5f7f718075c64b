# SPDX-License-Identifier: GPL-3.0-or-later
"""A recording as an HTTP body: decrypted on the way out, whole or a range, in blocks of 256 KiB from a thread."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.api.problems import problem_response
from media.encryption import EncryptionKey
from media.errors import AudioFileError, MediaError, SealBroken, WrongKey
from media.recording_source import RecordingSource

log = structlog.get_logger(__name__)


async def recording_response(request: Request, path: Path, key: EncryptionKey | None, call_id: str) -> Response:
    """The answer to GET or HEAD; a problem document when the file cannot be given."""
    try:
        source = await asyncio.to_thread(RecordingSource, path, key, call_id)
    except FileNotFoundError:
        return problem_response(410, "the recording is no longer there", name="recording-gone")
    except WrongKey as error:
        return problem_response(500, str(error), name="recording-locked", title="The recording cannot be decrypted")
    except (SealBroken, AudioFileError) as error:
        return problem_response(500, str(error), name="recording-damaged", title="The recording is damaged")
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": f'attachment; filename="{call_id}{source.suffix}"',
        "Cache-Control": "no-store",
    }
    if source.is_truncated:
        headers["Parley-Truncated"] = "true"
    start, end, status = 0, source.size, 200
    asked = request.headers.get("range")
    if asked is not None:
        span = _range(asked, source.size)
        if span is None:
            size = source.size
            source.close()
            return problem_response(416, "no such range", headers={"Content-Range": f"bytes */{size}"})
        if span != (0, 0):
            start, end, status = *span, 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{source.size}"
    headers["Content-Length"] = str(end - start)
    media_type = source.media_type
    if request.method == "HEAD":
        source.close()
        return Response(status_code=status, headers=headers, media_type=media_type)
    return StreamingResponse(_blocks(source, start, end, call_id), status, headers, media_type)


def _blocks(source: RecordingSource, start: int, end: int, call_id: str) -> Iterator[bytes]:
    """Starlette runs this in its threads. A damaged place breaks the connection off: what came before was sent."""
    with source:
        try:
            yield from source.read(start, end)
        except (MediaError, OSError) as error:
            log.error("recording_unreadable", call_id=call_id, cause=str(error))
            raise


def _range(header: str, size: int) -> tuple[int, int] | None:
    """One range of bytes (RFC 9110 section 14), as (start, end); (0, 0) for one to be ignored; None: outside."""
    found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", header.strip())
    if found is None or found[1] == found[2] == "":
        return (0, 0)  # several ranges, or another unit: the whole is a right answer
    if not found[1]:
        start, end = max(0, size - int(found[2])), size
    else:
        start, end = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
        if found[2] and int(found[2]) < start:
            return (0, 0)
    return (start, end) if start < end else None
