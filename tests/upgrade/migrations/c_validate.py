"""Validates the check, which does not block reads or writes.

Revision ID: e00000000003
"""

from alembic import op

revision = "e00000000003"
down_revision = "e00000000002"
is_contract = False


def upgrade() -> None:
    op.execute("ALTER TABLE customers VALIDATE CONSTRAINT nickname_length")


def downgrade() -> None:
    pass
