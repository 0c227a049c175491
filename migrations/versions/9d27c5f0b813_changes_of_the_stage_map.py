"""Changes of the stage map: how a version was put in force, who has gone over to it, what long work found.

Revision ID: 9d27c5f0b813
Revises: 4e8a61c27f10
Create Date: 2026-11-22 20:10:00
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "9d27c5f0b813"
down_revision = "4e8a61c27f10"
branch_labels = None
depends_on = None

# Constant defaults: no table is rewritten, however many rows it has.


def upgrade() -> None:
    # When a version was put in force, in the company's own time; null for the one it was founded with.
    op.add_column("stage_map_versions", sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column(
        "stage_map_versions",
        sa.Column("activation", sa.String(length=20), server_default=sa.text("'future_only'"), nullable=False),
    )
    op.create_check_constraint(
        op.f("ck_stage_map_versions_activation"),
        "stage_map_versions",
        "activation IN ('future_only', 'current_silent', 'current_with_actions')",
    )
    op.add_column("stage_map_versions", sa.Column("notes", sa.Text(), nullable=True))
    op.add_column(
        "stage_map_versions",
        sa.Column(
            "findings", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False
        ),
    )
    # The version that every customer has gone over to, and the one that this customer was last decided by.
    op.add_column(
        "companies", sa.Column("adopted_version", sa.Integer(), server_default=sa.text("1"), nullable=False)
    )
    op.execute("GRANT SELECT (adopted_version) ON companies TO journey_dispatcher")
    op.add_column(
        "customer_relationships",
        sa.Column("map_version", sa.Integer(), server_default=sa.text("1"), nullable=False),
    )
    # Moves that are to run no actions.
    op.add_column(
        "journey_transitions",
        sa.Column("is_silent", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
    op.add_column("jobs", sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "result")
    op.drop_column("journey_transitions", "is_silent")
    op.drop_column("customer_relationships", "map_version")
    op.drop_column("companies", "adopted_version")
    op.drop_column("stage_map_versions", "findings")
    op.drop_column("stage_map_versions", "notes")
    op.drop_constraint(op.f("ck_stage_map_versions_activation"), "stage_map_versions")
    op.drop_column("stage_map_versions", "activation")
    op.drop_column("stage_map_versions", "activated_at")
