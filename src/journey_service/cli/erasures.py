"""`erasures export` and `erasures apply`: the journal of erasures, which is stored with the backups."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import orjson
import typer

from journey_service.cli.terminal import (
    CommandContext,
    DataDir,
    MaybeCompanyId,
    cli_actor,
    print_line,
    print_note,
    select_companies,
    with_database,
)
from journey_service.domain.errors import InvalidInputError
from journey_service.embedded.files import write_private
from journey_service.repositories.customers.tombstones import Tombstone
from journey_service.repositories.database import Database
from journey_service.services.customers.privacy import list_tombstones, reapply_erasures


class ErasureJournal(NamedTuple):
    """A file of `erasures export`: the tombstones by company, complete up to `exported_at`."""

    exported_at: datetime
    tombstones: dict[int, list[Tombstone]]


def export(
    company: MaybeCompanyId = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to", dir_okay=False, help="File to replace, instead of printing.", show_default=False
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Print the tombstones of erased customers as NDJSON: HMACs that identify no customer without the key."""

    async def run(context: CommandContext) -> None:
        lines = await export_lines(context.database, company)
        if to is None:
            for line in lines:
                print_line(line)
            return
        write_private(to, "\n".join(lines) + "\n")
        print_note(f"{len(lines) - 1} tombstones")

    with_database(data_dir, run)


def apply(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Output of `erasures export`.")],
    data_dir: DataDir = None,
) -> None:
    """Re-apply erasures after restoring a backup."""

    async def run(context: CommandContext) -> None:
        by = cli_actor("erasures apply")
        total = 0
        for company_id, tombstones in read_journal(file).tombstones.items():
            total += await reapply_erasures(context.database, company_id, tombstones, by=by)
        print_line(f"{total} erasures re-applied")

    with_database(data_dir, run)


async def export_lines(database: Database, company_id: int | None = None) -> Sequence[str]:
    """Returns the lines of a journal: the time and number of the tombstones, then one tombstone each."""
    # Read first: the journal is complete up to this time.
    at = await database.read_due_work(lambda reader: reader.health.get_time())
    lines = [
        _line(
            company_id=one.id,
            customer_hmac=tombstone.customer_hmac.hex(),
            key_id=tombstone.key_id.hex(),
            erased_at=tombstone.erased_at,
        )
        for one in await select_companies(database, company_id)
        for tombstone in await list_tombstones(database, one.id)
    ]
    return [_line(exported_at=at, tombstones=len(lines)), *lines]


def read_journal(file: Path) -> ErasureJournal:
    """Reads a journal. Raises InvalidInputError if a line is invalid or if lines are missing."""
    head, *lines = file.read_text(encoding="utf-8").splitlines() or [""]
    with _LinePosition(1):
        stated = orjson.loads(head)
        exported_at, number = datetime.fromisoformat(stated["exported_at"]), int(stated["tombstones"])
    found: dict[int, list[Tombstone]] = {}
    for position, line in enumerate(lines, start=2):
        with _LinePosition(position):
            read = orjson.loads(line)
            tombstone = Tombstone(
                bytes.fromhex(read["customer_hmac"]),
                bytes.fromhex(read["key_id"]),
                datetime.fromisoformat(read["erased_at"]),
            )
            found.setdefault(int(read["company_id"]), []).append(tombstone)
    if len(lines) != number:
        raise InvalidInputError.at(str(file), f"has {len(lines)} tombstones, and states {number}")
    return ErasureJournal(exported_at, found)


class _LinePosition:
    """Reports an error of a line by its number."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ValueError | KeyError | TypeError):
            raise InvalidInputError.at(f"line {self._number}", "is not output of `erasures export`") from None


def _line(**values: object) -> str:
    return orjson.dumps(values).decode()
