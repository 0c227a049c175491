"""Which events still have details that are to be cleared once their time is over.

Revision ID: e8b3a5d1c960
Revises: c41f7d92e6a5
Create Date: 2026-11-26 09:40:00
"""

from alembic import op

revision = "e8b3a5d1c960"
down_revision = "c41f7d92e6a5"
branch_labels = None
depends_on = None

INDEX = "ix_kept_event_details"


def upgrade() -> None:
    # The ledger of events is the largest table there is: it is indexed beside the traffic, not in its way.
    with op.get_context().autocommit_block():
        op.execute("SET statement_timeout = 0")
        # One that was begun and not finished is no index.
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}")
        op.execute(
            f"CREATE INDEX CONCURRENTLY {INDEX} ON journey_events (company_id, occurred_at) WHERE metadata IS NOT NULL"
        )
        op.execute("SET statement_timeout = '60s'")


def downgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {INDEX}")
