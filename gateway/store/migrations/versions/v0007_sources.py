# SPDX-License-Identifier: GPL-3.0-or-later
"""What an answer rests on."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("transcript", sa.Column("sources", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("transcript", "sources")
