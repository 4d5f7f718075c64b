# SPDX-License-Identifier: GPL-3.0-or-later
"""How the schema came to be what it is: Alembic revisions under `versions`, run by `gateway.store.schema` at start.

A change of `tables.py` is a new file `versions/vNNNN_what.py` with `revision` and `down_revision`; old ones stay as
they are. A test compares the result of all revisions with `tables.py`.
"""

__all__: list[str] = []
