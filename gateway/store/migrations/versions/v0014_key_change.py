# SPDX-License-Identifier: GPL-3.0-or-later
"""Who a caller is, sealed beside the digest, so that it can be made anew with another key; what API keys are limited
to."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column("callers", sa.Column("identity", sa.Text(), nullable=True))
    op.add_column("consents", sa.Column("identity", sa.Text(), nullable=True))
    op.add_column("api_keys", sa.Column("only", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("api_keys", "only")
    op.drop_column("consents", "identity")
    op.drop_column("callers", "identity")
