"""Contract: says that the previous version no longer runs on the schema.

Revision ID: e00000000005
"""

from alembic import op

revision = "e00000000005"
down_revision = "e00000000004"
is_contract = True


def upgrade() -> None:
    op.execute("ALTER TABLE customers DROP CONSTRAINT nickname_length")


def downgrade() -> None:
    pass
