"""Migrates a database to the schema of this version, and steps of migrations that keep traffic moving."""

from collections.abc import Collection
from pathlib import Path
from typing import Final

from alembic import command, op
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import text

from journey_service.repositories.database import async_url

_PACKAGED = Path(__file__).parent.parent / "migrations"
_CHECKOUT = Path(__file__).parents[3] / "migrations"
_MAX_BUILDS: Final = 3


def config(url: str) -> Config:
    """Returns the Alembic configuration for a database, from a checkout or an installed wheel."""
    configuration = Config()
    location = _PACKAGED if _PACKAGED.is_dir() else _CHECKOUT
    configuration.set_main_option("script_location", str(location).replace("%", "%%"))
    configuration.attributes["url"] = async_url(url)
    return configuration


def upgrade(url: str, revision: str = "head") -> None:
    """Applies migrations up to a revision.

    Runs its own event loop: call it from a thread if one is running.
    """
    command.upgrade(config(url), revision)


def downgrade(url: str, revision: str) -> None:
    """Reverts migrations down to a revision."""
    command.downgrade(config(url), revision)


def is_known(revision: str) -> bool:
    """Returns whether this version contains a migration."""
    try:
        ScriptDirectory.from_config(config("postgresql://")).get_revision(revision)
    except CommandError:
        return False
    return True


def supported_revisions(scripts: ScriptDirectory, heads: Collection[str]) -> list[str]:
    """Returns the revisions whose code runs on the schema of `heads`, the newest first.

    A migration with `is_contract = True` removes what earlier code uses: revisions before it are not supported.
    """
    found: list[str] = []
    for script in scripts.iterate_revisions(tuple(heads), "base"):
        found.append(script.revision)
        if getattr(script.module, "is_contract", False):
            break
    return found


def create_index_concurrently(name: str, definition: str) -> None:
    """Builds an index without blocking writes, as the only step of a migration.

    `definition` is the rest of the statement, such as `ON customers (company_id, name)`. An invalid index, which a
    failed build leaves, is dropped and built again.

    Raises RuntimeError if the index is invalid after three builds.
    """
    context = op.get_context()
    with context.autocommit_block():
        # The build waits for running transactions, but nothing waits for the build.
        op.execute("SET statement_timeout = 0")
        op.execute("SET lock_timeout = 0")
        for _ in range(_MAX_BUILDS):
            if _is_valid(context, name) is False:
                op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} {definition}")
            if _is_valid(context, name) is not False:
                break
        else:
            raise RuntimeError(f"the index {name} is invalid after {_MAX_BUILDS} builds")
        op.execute("SET statement_timeout = '60s'")
        op.execute("SET lock_timeout = '500ms'")


def _is_valid(context: MigrationContext, name: str) -> bool | None:
    """Returns whether an index is valid; None if it does not exist, or if SQL is printed instead of executed."""
    if context.as_sql or context.connection is None:
        return None
    found: bool | None = context.connection.scalar(
        text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)"), {"name": name}
    )
    return found
