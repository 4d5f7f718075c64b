# SPDX-License-Identifier: GPL-3.0-or-later
"""Which gateway has a call, and how far each has got with writing."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("node", sa.Text()))
    op.create_table(
        "writers",
        sa.Column("writer", sa.Text(), nullable=False),
        sa.Column("written", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("writer", name="pk_writers"),
    )


def downgrade() -> None:
    op.drop_table("writers")
    op.drop_column("sessions", "node")
