"""Migrates a database to the schema of this version."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from journey_service.repositories.database import async_url

_PACKAGED = Path(__file__).parent.parent / "migrations"
_CHECKOUT = Path(__file__).parents[3] / "migrations"


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
