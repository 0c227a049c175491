"""`erasures keep`, `erasures apply`: what outlives a backup that is older than an erasure."""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from journey_service.cli.terminal import (
    CommandContext,
    DataDir,
    MaybeCompanyId,
    cli_actor,
    say,
    select_companies,
    with_database,
)
from journey_service.domain.errors import InvalidInputError
from journey_service.services.customers.privacy import list_tombstones, reapply_erasures


def keep(company: MaybeCompanyId = None, data_dir: DataDir = None) -> None:
    """Print what is kept of everybody erased, one JSON object a line: hashes that name nobody without the secret."""

    async def uow(place: CommandContext) -> None:
        for one in await select_companies(place.database, company):
            for tombstone in await list_tombstones(place.database, one.id):
                line = {
                    "company_id": one.id,
                    "customer_hmac": tombstone.customer_hmac.hex(),
                    "erased_at": tombstone.erased_at,
                }
                say(orjson.dumps(line).decode())

    with_database(data_dir, uow)


def apply(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="What `erasures keep` has printed.")
    ],
    data_dir: DataDir = None,
) -> None:
    """Erase again whom a restored backup has brought back."""

    async def uow(place: CommandContext) -> None:
        by = cli_actor("erasures apply")
        total = 0
        for company_id, hmacs in _read(file).items():
            total += await reapply_erasures(place.database, company_id, hmacs, by=by)
        say(f"{total} customers erased again")

    with_database(data_dir, uow)


def _read(file: Path) -> dict[int, set[bytes]]:
    found: dict[int, set[bytes]] = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            told = orjson.loads(line)
            found.setdefault(int(told["company_id"]), set()).add(bytes.fromhex(told["customer_hmac"]))
        except (ValueError, KeyError, TypeError):
            raise InvalidInputError.at(f"line {number}", "is none of `erasures keep`") from None
    return found
