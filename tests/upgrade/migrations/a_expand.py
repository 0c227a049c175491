"""Expand: adds a nullable column, a column with a constant default, and a check that is not validated yet.

Revision ID: e00000000001
"""

from alembic import op

revision = "e00000000001"
down_revision = "@head"
is_contract = False


def upgrade() -> None:
    op.execute("ALTER TABLE customers ADD COLUMN nickname text")
    op.execute("ALTER TABLE journey_events ADD COLUMN channel text NOT NULL DEFAULT 'unknown'")
    op.execute(
        "ALTER TABLE customers ADD CONSTRAINT nickname_length CHECK (length(nickname) < 100) NOT VALID"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE customers DROP COLUMN nickname")
    op.execute("ALTER TABLE journey_events DROP COLUMN channel")
