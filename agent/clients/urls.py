# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a service's single request goes, from where the service is."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlencode


def with_parameters(base: str, path: str, parameters: Mapping[str, object]) -> str:
    """`base` (which may have a path of its own) and `path`, with a query: a list is given once for each of its entries,
    an empty one and None not at all."""
    query = urlencode(list(_pairs(parameters)))
    return base.rstrip("/") + path + (f"?{query}" if query else "")


def _pairs(parameters: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in parameters.items():
        for one in value if isinstance(value, list | tuple) else (value,):
            if one is not None:
                yield name, ("true" if one else "false") if isinstance(one, bool) else str(one)
