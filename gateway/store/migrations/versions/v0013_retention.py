# SPDX-License-Identifier: GPL-3.0-or-later
"""When parts of sessions were erased, and which sessions must not be."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0015"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("recording_erased_at", sa.DateTime(timezone=True)))
    op.add_column("sessions", sa.Column("transcript_erased_at", sa.DateTime(timezone=True)))
    op.create_index("ix_sessions_ended_at", "sessions", ["ended_at", "call_id"])
    op.create_table(
        "holds",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["sessions.call_id"], name="fk_holds_call_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("call_id", name="pk_holds"),
    )


def downgrade() -> None:
    op.drop_table("holds")
    op.drop_index("ix_sessions_ended_at", "sessions")
    op.drop_column("sessions", "transcript_erased_at")
    op.drop_column("sessions", "recording_erased_at")
