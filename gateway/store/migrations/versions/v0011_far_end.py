# SPDX-License-Identifier: GPL-3.0-or-later
"""Who took a call that we placed, and whether a message was left."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("far_end", sa.Text()))
    op.add_column("sessions", sa.Column("far_end_confidence", sa.Float()))
    op.add_column("sessions", sa.Column("message_left", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    op.drop_column("sessions", "message_left")
    op.drop_column("sessions", "far_end_confidence")
    op.drop_column("sessions", "far_end")
