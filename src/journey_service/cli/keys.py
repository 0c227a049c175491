"""`keys create`, `keys list`, `keys revoke`."""

from typing import Annotated

import typer

from journey_service.cli.terminal import DataDir, Place, say, with_database
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events import MAX_ID
from journey_service.services import credentials

OwnerId = Annotated[
    int, typer.Option("--company", min=0, max=MAX_ID, help="The company's id; 0 for the operators' own keys.")
]


def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    company: Annotated[int | None, typer.Option(min=1, max=MAX_ID, help="The company's id.")] = None,
    operator: Annotated[bool, typer.Option("--operator", help="A key of the operators'.")] = False,
    scope: Annotated[
        list[str] | None, typer.Option(help="May be given more than once; * by default.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it, this once."""
    if (company is None) is not operator:
        raise typer.BadParameter("Name either a --company or --operator.")

    async def work(place: Place) -> str:
        if not place.pepper:
            raise InvalidInputError.at("JOURNEY_KEY_PEPPER", "must be what the service is started with")
        new = await credentials.create_key(
            place.database,
            credentials.OPERATORS if company is None else company,
            name=name,
            scopes=scope or [credentials.EVERYTHING],
            pepper=place.pepper,
        )
        return new.token

    say(with_database(data_dir, work))


def list_(company: OwnerId, data_dir: DataDir = None) -> None:
    """List keys; their secrets are kept nowhere."""

    async def work(place: Place) -> None:
        for key in await credentials.list_keys(place.database, company, after="", limit=1_000):
            ends = "never" if key.expires_at is None else key.expires_at.isoformat()
            state = "revoked" if key.revoked_at else f"ends {ends}"
            say(f"{key.key_id}\t{state}\t{','.join(key.scopes)}\t{key.name}")

    with_database(data_dir, work)


def revoke(key_id: Annotated[str, typer.Argument()], company: OwnerId, data_dir: DataDir = None) -> None:
    """End a key."""

    async def work(place: Place) -> None:
        await credentials.revoke_key(place.database, company, key_id)

    with_database(data_dir, work)
