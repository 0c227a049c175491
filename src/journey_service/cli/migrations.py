"""`migrate`: brings the database to the schema of this version."""

from journey_service.cli.owner import owner_url
from journey_service.cli.terminal import DataDir, print_note
from journey_service.repositories import migrations


def migrate(data_dir: DataDir = None) -> None:
    """Migrate the database to the schema of this version."""
    with owner_url(data_dir) as url:
        migrations.upgrade(url)
    print_note("The schema is up to date.")
