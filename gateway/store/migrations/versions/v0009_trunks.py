# SPDX-License-Identifier: GPL-3.0-or-later
"""Which trunk carried a call, and events that are of no call."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

_COLUMNS = 'cursor, call_id, kind, "at", data'


def upgrade() -> None:
    op.add_column("sessions", sa.Column("trunk", sa.Text()))
    _let_events_be_of_no_call(True)


def downgrade() -> None:
    op.execute("DELETE FROM events WHERE call_id IS NULL")
    _let_events_be_of_no_call(False)
    op.drop_column("sessions", "trunk")


def _let_events_be_of_no_call(allowed: bool) -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("events", "call_id", nullable=allowed)
        return
    # SQLite changes no column, and to drop the old table would drop the deliveries that hang on it: both are made anew.
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "new_events",
        sa.Column("cursor", number, nullable=False),
        sa.Column("call_id", sa.Text(), nullable=allowed),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cursor", name="pk_events"),
        sa.ForeignKeyConstraint(["call_id"], ["sessions.call_id"], name="fk_events_call_id", ondelete="CASCADE"),
    )
    op.create_table(
        "new_deliveries",
        sa.Column("cursor", number, nullable=False),
        sa.Column("webhook", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cursor", "webhook", name="pk_deliveries"),
        sa.ForeignKeyConstraint(["cursor"], ["new_events.cursor"], name="fk_deliveries_cursor", ondelete="CASCADE"),
    )
    op.execute(f"INSERT INTO new_events ({_COLUMNS}) SELECT {_COLUMNS} FROM events")
    op.execute("INSERT INTO new_deliveries (cursor, webhook) SELECT cursor, webhook FROM deliveries")
    op.drop_table("deliveries")
    op.drop_table("events")
    op.rename_table("new_events", "events")  # and in the other table's foreign key
    op.rename_table("new_deliveries", "deliveries")
    op.create_index("ix_events_call_id", "events", ["call_id"])
    op.create_index("ix_events_at", "events", ["at"])
