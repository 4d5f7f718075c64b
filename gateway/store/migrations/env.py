# SPDX-License-Identifier: GPL-3.0-or-later
"""Alembic's entry point. The connection, already inside a transaction, comes from `gateway.store.schema`."""

from alembic import context

from gateway.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()
