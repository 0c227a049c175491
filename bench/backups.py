"""Duration of a backup and a restore. `python bench/backups.py [N]`.

N customers (100,000 by default) with about ten moves each in one company, in a PostgreSQL of its own with default
settings (fsync on) in a temporary folder; the restore writes into a second one. The files are on the same disk.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asyncpg

from journey_service.domain.access.actors import Actor
from journey_service.embedded import EmbeddedServers
from journey_service.repositories import migrations as migrating
from journey_service.repositories.database import Database
from journey_service.services.companies.provisioning import NewCompany, create_company
from ledger import make_ledger

COMPANY = 1


async def fill(url: str, number: int) -> int:
    """Creates the company and its rows; returns the size of the database in bytes."""
    database = Database(url)
    await create_company(database, NewCompany("A salon", "UTC", "EUR", id=COMPANY), author=Actor("bench"))
    await database.close()
    connection = await asyncpg.connect(url)
    now = await connection.fetchval("SELECT now()")
    await make_ledger(connection, COMPANY, number, now)
    size: int = await connection.fetchval("SELECT pg_database_size(current_database())")
    await connection.close()
    return size


def journey(*arguments: object) -> dict[str, object]:
    """Runs a command; returns its result."""
    command = [sys.executable, "-m", "journey_service.cli", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # our own program
    result: dict[str, object] = json.loads(done.stdout)
    return result


def main() -> None:
    """Measures one backup and one restore."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", nargs="?", type=int, default=100_000)
    number = parser.parse_args().number
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "key").write_text("Zp7Lr2Wq9Xt4Bn6Mc1Vs8Ky3Hd5Gf0Ju", encoding="utf-8")
        (folder / "backups").mkdir()
        with EmbeddedServers(folder / "first", with_valkey=False) as servers:
            migrating.upgrade(servers.database_url)
            size = asyncio.run(fill(servers.database_url, number))
            options = ("--key-file", folder / "key", "--data-dir")
            made = journey("backup", folder / "backups", *options, folder / "first")
        begun = time.monotonic()
        restored = journey("restore", made["file"], *options, folder / "second")
        seconds = time.monotonic() - begun
    megabytes = f"database {size / 1e6:.0f} MB, backup {float(str(made['bytes'])) / 1e6:.0f} MB"
    print(f"{number:,} customers, {made['rows']:,} rows, {megabytes}")
    print(
        f"backup {made['seconds']} s, restore {restored['seconds']} s, with the start of the servers {seconds:.1f} s"
    )


if __name__ == "__main__":
    main()
