# SPDX-License-Identifier: GPL-3.0-or-later
"""`/console`: pages for operators. They hold nothing: they ask the API, with the key of whoever looks.

Their own script and style are all that they may run, by hash; nothing from elsewhere is loaded, and nobody frames them.
"""

import base64
import hashlib
import re
from collections.abc import Awaitable, Callable
from importlib.resources import files

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

_PAGES = ("campaigns",)


def console_router() -> APIRouter:
    """The pages, read now."""
    router = APIRouter()
    for name in _PAGES:
        html = files("gateway.console").joinpath(f"{name}.html").read_text(encoding="utf-8")
        router.add_route(f"/console/{name}", _page(html), methods=["GET"], include_in_schema=False)
    return router


def _page(html: str) -> Callable[[Request], Awaitable[Response]]:
    headers = {
        "Content-Security-Policy": _policy(html),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }

    async def page(request: Request) -> Response:
        return HTMLResponse(html, headers=headers)

    return page


def _policy(html: str) -> str:
    """CSP level 3: `'self'` of connect-src holds for WebSockets as well."""
    scripts = " ".join(_hash(text) for text in re.findall(r"<script>(.*?)</script>", html, re.DOTALL))
    styles = " ".join(_hash(text) for text in re.findall(r"<style>(.*?)</style>", html, re.DOTALL))
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
