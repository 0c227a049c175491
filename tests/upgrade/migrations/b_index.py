"""Builds an index without blocking writes.

Revision ID: e00000000002
"""

from alembic import op

from journey_service.repositories.migrations import create_index_concurrently

revision = "e00000000002"
down_revision = "e00000000001"
is_contract = False


def upgrade() -> None:
    create_index_concurrently("ix_events_channel", "ON journey_events (company_id, channel)")


def downgrade() -> None:
    op.execute("DROP INDEX ix_events_channel")
