"""Breaks the previous version: a column without a default that it does not write. Not marked as contract.

Revision ID: e00000000004
"""

from alembic import op

revision = "e00000000004"
down_revision = "e00000000003"
is_contract = False


def upgrade() -> None:
    op.execute("ALTER TABLE journey_events ALTER COLUMN channel DROP DEFAULT")
    op.execute("UPDATE customers SET nickname = name")


def downgrade() -> None:
    op.execute("ALTER TABLE journey_events ALTER COLUMN channel SET DEFAULT 'unknown'")
