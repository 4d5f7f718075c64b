# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose call a session was, what is remembered of it, and who agreed to that."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "callers",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("continues", sa.Text(), nullable=True),
        sa.Column("memory", sa.Text(), nullable=True),
        sa.Column("expires_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("call_id", "agent", name="pk_callers"),
        sa.ForeignKeyConstraint(["call_id"], ["sessions.call_id"], name="fk_callers_call_id", ondelete="CASCADE"),
    )
    op.create_index("ix_callers_caller", "callers", ["caller", "agent", "at"])
    op.create_index("ix_callers_continues", "callers", ["continues"])
    op.create_index("ix_callers_expires_at", "callers", ["expires_at"])
    op.create_table(
        "consents",
        sa.Column("caller", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("given", sa.Boolean(), nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("caller", "agent", name="pk_consents"),
    )
    op.create_index("ix_consents_expires_at", "consents", ["expires_at"])


def downgrade() -> None:
    op.drop_table("consents")
    op.drop_table("callers")
