"""Database URL of the table owner, for commands that change the schema."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from journey_service.cli.terminal import checked_directory, expected_errors
from journey_service.embedded import connect_or_start
from journey_service.settings import read_migration_settings


@contextmanager
def owner_url(data_dir: Path | None) -> Iterator[str]:
    """Yields the database URL of the table owner; starts the servers of the data directory if needed."""
    with expected_errors():
        if data_dir is None and (os.environ.get("DATABASE_URL") or os.environ.get("MIGRATION_DATABASE_URL")):
            yield read_migration_settings().url
            return
        with connect_or_start(checked_directory(data_dir)) as servers:
            yield servers.database_url
