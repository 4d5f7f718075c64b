# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to know of a recording: format, length, pauses."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("recording_facts", sa.JSON(none_as_null=True)))


def downgrade() -> None:
    op.drop_column("sessions", "recording_facts")
