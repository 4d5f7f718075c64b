# SPDX-License-Identifier: GPL-3.0-or-later
"""Events, which webhooks still have to get them, and what must not be forgotten about their cursors."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "events",
        sa.Column("cursor", number, nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cursor", name="pk_events"),
        sa.ForeignKeyConstraint(["call_id"], ["sessions.call_id"], name="fk_events_call_id", ondelete="CASCADE"),
    )
    op.create_index("ix_events_call_id", "events", ["call_id"])
    op.create_index("ix_events_at", "events", ["at"])
    op.create_table(
        "deliveries",
        sa.Column("cursor", number, nullable=False),
        sa.Column("webhook", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("cursor", "webhook", name="pk_deliveries"),
        sa.ForeignKeyConstraint(["cursor"], ["events.cursor"], name="fk_deliveries_cursor", ondelete="CASCADE"),
    )
    log = op.create_table(
        "event_log",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("kept_after", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_event_log"),
    )
    op.bulk_insert(log, [{"id": 1, "runs": 0, "kept_after": 0}])


def downgrade() -> None:
    for table in ("event_log", "deliveries", "events"):
        op.drop_table(table)
