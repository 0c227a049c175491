"""Memory of imports: the peak of a process that imports 10,000 and 200,000 lines. `python bench/import_memory.py`.

Starts its own PostgreSQL, in a temporary folder. Each file is imported by a process of its own, which reports the
growth of its peak of resident memory from before the import to its end, in MiB. Another process writes the file.
"""

import argparse
import asyncio
import csv
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from openpyxl import Workbook

from journey_service.domain.access.actors import Actor
from journey_service.embedded import EmbeddedServers
from journey_service.repositories import migrations as migrating
from journey_service.repositories.database import Database
from journey_service.services.companies.provisioning import NewCompany, create_company
from journey_service.services.events.imports.imports import get_import, run_import, stage_import

BY = Actor("bench")
HEADER = ("customer_id", "occurred_at", "event_type", "amount")
KINDS = ("csv", "xlsx")
_CHUNK_BYTES = 64 * 1024
_WARM_UP = 100
"""Lines of an import before the measured one, so that modules and pools are loaded."""


def _rows(lines: int) -> Iterator[tuple[object, ...]]:
    for number in range(lines):
        day = f"202{1 + number % 5}-0{1 + number % 9}-11"
        yield number // 5, day, "appointment_completed", 20 + number % 80


def write_file(path: Path, lines: int) -> None:
    """Writes a file of events, of the kind that the suffix names."""
    if path.suffix == ".xlsx":
        book = Workbook(write_only=True)
        sheet = book.create_sheet("visits")
        for row in (HEADER, *_rows(lines)):
            sheet.append(row)
        book.save(path)
        return
    with path.open("w", newline="") as file:
        csv.writer(file).writerows((HEADER, *_rows(lines)))


async def _import(database: Database, company_id: int, path: Path) -> int:
    async def chunks() -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                yield chunk

    staged = await stage_import(database, company_id, chunks(), actor=BY)
    await run_import(database, company_id, staged.id)
    return (await get_import(database, company_id, staged.id)).applied


def _peak() -> float:
    """Returns the peak of resident memory of this process in MiB, without that of the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(each for each in status.splitlines() if each.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


async def measure(url: str, company_id: int, warm_up: Path, path: Path) -> dict[str, float]:
    """Imports a file after a small one; returns the lines applied, and the peak before and after in MiB."""
    database = Database(url)
    for id_ in (company_id, company_id + 1):
        new = NewCompany(id=id_, name="bench", timezone="UTC", currency="EUR")
        await create_company(database, new, author=BY)
    await _import(database, company_id + 1, warm_up)
    before = _peak()
    applied = await _import(database, company_id, path)
    await database.close()
    return {"applied": applied, "before": before, "after": _peak()}


def _run(*arguments: object) -> str:
    command = [sys.executable, __file__, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603  # ourselves


def main() -> None:
    """Measures every kind and number of lines, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lines", nargs="*", type=int, default=[10_000, 200_000])
    parser.add_argument("--kind", choices=KINDS, action="append", help="Only files of this kind; repeatable.")
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write_file(Path(options.write[0]), int(options.write[1]))
        return
    if options.measure:
        url, company, *paths = options.measure
        print(json.dumps(asyncio.run(measure(url, int(company), *map(Path, paths)))))
        return
    with (
        tempfile.TemporaryDirectory() as folder,
        EmbeddedServers(Path(folder) / "data", with_valkey=False) as servers,
    ):
        migrating.upgrade(servers.database_url)
        print(f"{'file':6} {'lines':>9} {'MiB before':>11} {'MiB at most':>12} {'growth':>7}")
        company_id = 1
        for kind in options.kind or KINDS:
            warm_up = Path(folder) / f"warm_up.{kind}"
            _run("--write", warm_up, _WARM_UP)
            for lines in options.lines:
                path = Path(folder) / f"{lines}.{kind}"
                _run("--write", path, lines)
                found = json.loads(_run("--measure", servers.database_url, company_id, warm_up, path))
                company_id += 2
                assert found["applied"] == lines, found
                growth = found["after"] - found["before"]
                print(
                    f"{kind:6} {lines:9,} {found['before']:11.0f} {found['after']:12.0f} {growth:7.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
