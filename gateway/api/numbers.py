# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers in request bodies as JSON Schema has them: 2 and 2.0 are both whole, "2" and true are none."""

from typing import Any

from pydantic import BeforeValidator


def _number(value: Any) -> Any:
    if isinstance(value, (str, bytes, bool)):
        raise ValueError("must be a number")
    return value


JSON_NUMBER = BeforeValidator(_number)
"""Last in a field's annotation, after its bounds."""
