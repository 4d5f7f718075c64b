# SPDX-License-Identifier: GPL-3.0-or-later
"""The SIP messages of a call."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "signalling",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("messages", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["call_id"], ["sessions.call_id"], name="fk_signalling_call_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("call_id", name="pk_signalling"),
    )


def downgrade() -> None:
    op.drop_table("signalling")
