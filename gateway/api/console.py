# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages for people: the console at `/`, the call page at `/call`. They hold nothing: they ask the API, with the key
of whoever looks.

    gateway/console/*.html      pages
    gateway/console/static/     their scripts (ES modules) and styles, at /static/, as they lie there: no build step

Pages may run what comes from /static/ and nothing else; nothing is loaded from elsewhere.
"""

import hashlib
import mimetypes
from collections.abc import Awaitable, Callable, Iterator, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

_MOVED = {"/console/campaigns": "/#/campaigns"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; "
)
"""CSP level 3: `'self'` of connect-src holds for WebSockets as well. What frames there may be follows."""
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # ask again, and get 304: a new version of the gateway shows its own pages at once
}


def console_router(origins: Sequence[str] = ()) -> APIRouter:
    """The pages and what they are made of, read now. `origins`: sites that may have the call page in a frame."""
    router = APIRouter()
    folder = files("gateway.console")
    for path, name, frames in (
        ("/", "index.html", "frame-src 'self'; frame-ancestors 'none'"),  # an agent is tried in a panel
        ("/call", "call.html", " ".join(("frame-ancestors 'self'", *origins))),
    ):
        policy = {"Content-Security-Policy": _POLICY + frames}
        page = _content(folder.joinpath(name).read_bytes(), "text/html", policy)
        router.add_route(path, page, methods=["GET"], include_in_schema=False)
    for path, content, kind in _static(folder.joinpath("static"), "/static"):
        router.add_route(path, _content(content, kind, {}), methods=["GET"], include_in_schema=False)
    for path, target in _MOVED.items():
        router.add_route(path, _redirect(target), methods=["GET"], include_in_schema=False)
    return router


def _static(folder: Traversable, path: str) -> Iterator[tuple[str, bytes, str]]:
    """Every file below: its address, content and type."""
    for one in sorted(folder.iterdir(), key=lambda each: each.name):
        if one.is_dir():
            yield from _static(one, f"{path}/{one.name}")
        else:
            kind = "text/javascript" if one.name.endswith(".js") else mimetypes.guess_type(one.name)[0]
            yield f"{path}/{one.name}", one.read_bytes(), kind or "application/octet-stream"


def _content(content: bytes, kind: str, headers: dict[str, str]) -> Callable[[Request], Awaitable[Response]]:
    tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
    headers = {**_HEADERS, **headers, "ETag": tag}

    async def answer(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)

    return answer


def _redirect(target: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return RedirectResponse(target, 308)

    return answer
