"""`erasures export` and `erasures apply`: re-apply erasures after restoring a backup."""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from journey_service.cli.terminal import (
    CommandContext,
    DataDir,
    MaybeCompanyId,
    cli_actor,
    print_line,
    select_companies,
    with_database,
)
from journey_service.domain.errors import InvalidInputError
from journey_service.services.customers.privacy import list_tombstones, reapply_erasures


def export(company: MaybeCompanyId = None, data_dir: DataDir = None) -> None:
    """Print the tombstones of erased customers as NDJSON: HMACs that identify no customer without the key."""

    async def run(context: CommandContext) -> None:
        for one in await select_companies(context.database, company):
            for tombstone in await list_tombstones(context.database, one.id):
                line = {
                    "company_id": one.id,
                    "customer_hmac": tombstone.customer_hmac.hex(),
                    "erased_at": tombstone.erased_at,
                }
                print_line(orjson.dumps(line).decode())

    with_database(data_dir, run)


def apply(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Output of `erasures export`.")],
    data_dir: DataDir = None,
) -> None:
    """Re-apply erasures after restoring a backup."""

    async def run(context: CommandContext) -> None:
        by = cli_actor("erasures apply")
        total = 0
        for company_id, hmacs in _read(file).items():
            total += await reapply_erasures(context.database, company_id, hmacs, by=by)
        print_line(f"{total} erasures re-applied")

    with_database(data_dir, run)


def _read(file: Path) -> dict[int, set[bytes]]:
    found: dict[int, set[bytes]] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            tombstone = orjson.loads(line)
            found.setdefault(int(tombstone["company_id"]), set()).add(
                bytes.fromhex(tombstone["customer_hmac"])
            )
        except (ValueError, KeyError, TypeError):
            raise InvalidInputError.at(f"line {number}", "is not output of `erasures export`") from None
    return found
