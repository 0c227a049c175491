"""The schema after the present one: the migrations of the checkout, and those of this folder after them."""

import shutil
from io import StringIO
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from journey_service.repositories import migrations

HERE = Path(__file__).parent / "migrations"
CHECKOUT = Path(__file__).parents[2] / "migrations"
LAST = "e00000000003"
"""The last migration that the code of the previous version does not notice."""
BROKEN = "e00000000004"
"""A migration that breaks the previous version."""
CONTRACT = "e00000000005"
"""A migration that says that it ends the support of the previous version."""


def next_schema(folder: Path, url: str, *, lock_timeout: str | None = None) -> Config:
    """Returns the configuration of the migrations that follow, copied into a folder.

    `lock_timeout` replaces the lock timeout of migrations, for a negative control.
    """
    location = folder / "migrations"
    shutil.copytree(CHECKOUT, location, ignore=shutil.ignore_patterns("__pycache__"))
    configuration = migrations.config(url)
    [head] = ScriptDirectory.from_config(configuration).get_heads()
    for file in HERE.glob("*.py"):
        text = file.read_text(encoding="utf-8").replace("@head", head)
        (location / "versions" / file.name).write_text(text, encoding="utf-8")
    if lock_timeout is not None:
        environment = location / "env.py"
        text = environment.read_text(encoding="utf-8")
        changed = text.replace('_LOCK_TIMEOUT = "500ms"', f'_LOCK_TIMEOUT = "{lock_timeout}"')
        assert changed != text
        environment.write_text(changed, encoding="utf-8")
    configuration.set_main_option("script_location", str(location))
    return configuration


def render(configuration: Config, first: str, last: str) -> str:
    """Returns the SQL of the migrations after `first`, up to `last`."""
    configuration.output_buffer = StringIO()
    command.upgrade(configuration, f"{first}:{last}", sql=True)
    return configuration.output_buffer.getvalue()
