# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions, what was said in them, their turns, and the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "sessions",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("from", sa.Text(), nullable=False),
        sa.Column("to", sa.Text(), nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("answered_at", moment),
        sa.Column("ended_at", moment),
        sa.Column("end_reason", sa.Text()),
        sa.Column("codec", sa.Text()),
        sa.Column("agent", sa.Text()),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("quality", sa.JSON(none_as_null=True)),
        sa.Column("recording", sa.Text()),
        sa.PrimaryKeyConstraint("call_id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_started_at", "sessions", ["started_at", "call_id"])
    op.create_table(
        "transcript",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("started_ms", sa.Integer(), nullable=False),
        sa.Column("ended_ms", sa.Integer(), nullable=False),
        sa.Column("interrupted", sa.Boolean(), nullable=False),
        sa.Column("heard_text", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_transcript"),
        sa.ForeignKeyConstraint(["call_id"], ["sessions.call_id"], name="fk_transcript_call_id", ondelete="CASCADE"),
    )
    op.create_index("ix_transcript_call_id", "transcript", ["call_id"])
    op.create_table(
        "turns",
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("index", sa.Integer(), nullable=False),
        sa.Column("segments_ms", sa.JSON(), nullable=False),
        sa.Column("response_ms", sa.Float(), nullable=False),
        sa.Column("speculative", sa.Boolean(), nullable=False),
        sa.Column("interrupted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("call_id", "index", name="pk_turns"),
        sa.ForeignKeyConstraint(["call_id"], ["sessions.call_id"], name="fk_turns_call_id", ondelete="CASCADE"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
    )
    if op.get_bind().dialect.name == "sqlite":
        for change in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )
    else:
        op.execute(
            "CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
        )
        for change in ("UPDATE", "DELETE", "TRUNCATE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change} ON audit "
                "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only()"
            )


def downgrade() -> None:
    for table in ("audit", "turns", "transcript", "sessions"):
        op.drop_table(table)
    if op.get_bind().dialect.name != "sqlite":
        op.execute("DROP FUNCTION audit_is_append_only()")
