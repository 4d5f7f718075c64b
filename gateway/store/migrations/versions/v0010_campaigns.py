# SPDX-License-Identifier: GPL-3.0-or-later
"""Campaigns, their contacts and attempts, who is not to be called, and which gateways dial."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "campaigns",
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("started_at", moment, nullable=True),
        sa.Column("ended_at", moment, nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.Column("slot_at", sa.Float(), nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in ("contacts", "settled", "attempts", "answered", "people", "abandoned")
        ),
        sa.Column("talked_s", sa.Float(), nullable=False),
        sa.Column("cost", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", name="pk_campaigns"),
    )
    op.create_index("ix_campaigns_state", "campaigns", ["state"])
    op.create_table(
        "contacts",
        sa.Column("contact_id", number, autoincrement=True, nullable=False),
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("number_key", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due_at", moment, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("sequence", number, nullable=True),
        sa.PrimaryKeyConstraint("contact_id", name="pk_contacts"),
        sa.UniqueConstraint("campaign_id", "number_key", name="uq_contacts_number"),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.campaign_id"], name="fk_contacts_campaign_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_contacts_due", "contacts", ["campaign_id", "state", "due_at"])
    op.create_index("ix_contacts_settled", "contacts", ["campaign_id", "sequence"])
    op.create_table(
        "attempts",
        sa.Column("attempt_id", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("contact_id", number, nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("answered_at", moment, nullable=True),
        sa.Column("ended_at", moment, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("far_end", sa.Text(), nullable=True),
        sa.Column("far_end_confidence", sa.Float(), nullable=True),
        sa.Column("sip_code", sa.Integer(), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.Column("disposition", sa.Text(), nullable=True),
        sa.Column("is_extracted", sa.Boolean(), nullable=False),
        sa.Column("cost", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("attempt_id", name="pk_attempts"),
        sa.UniqueConstraint("call_id", name="uq_attempts_call_id"),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.campaign_id"], name="fk_attempts_campaign_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["contact_id"], ["contacts.contact_id"], name="fk_attempts_contact_id", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_attempts_ended_at", "attempts", ["campaign_id", "ended_at"])
    op.create_index("ix_attempts_contact_id", "attempts", ["contact_id"])
    op.create_table(
        "campaign_outcomes",
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("contacts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "outcome", name="pk_campaign_outcomes"),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.campaign_id"], name="fk_campaign_outcomes_campaign_id", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "do_not_call",
        sa.Column("number_key", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("added_at", moment, nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number_key", "campaign_id", name="pk_do_not_call"),
    )
    op.create_table(
        "runners",
        sa.Column("node", sa.Text(), nullable=False),
        sa.Column("beat_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("node", name="pk_runners"),
    )


def downgrade() -> None:
    for table in ("runners", "do_not_call", "campaign_outcomes", "attempts", "contacts", "campaigns"):
        op.drop_table(table)
