"""`keys create`, `keys list`, `keys rotate`, `keys revoke`, `sign-in-link`."""

from typing import Annotated

import typer

from journey_service.cli.terminal import (
    CommandContext,
    CompanyId,
    DataDir,
    cli_actor,
    say,
    say_table,
    with_database,
)
from journey_service.domain.access.actors import EVERYTHING, Role
from journey_service.domain.access.records import StoredKey
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.event import MAX_ID
from journey_service.services.access import credentials, sessions
from journey_service.services.access.credentials import KeyRequest, allowed

OwnerId = Annotated[
    int, typer.Option("--company", min=0, max=MAX_ID, help="The company's id; 0 for the operators' own keys.")
]
_DAY = 86_400


def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    company: Annotated[int | None, typer.Option(min=1, max=MAX_ID, help="The company's id.")] = None,
    operator: Annotated[bool, typer.Option("--operator", help="A key of the operators'.")] = False,
    scope: Annotated[
        list[str] | None, typer.Option(help="May be given more than once; * by default.")
    ] = None,
    role: Annotated[
        Role | None,
        typer.Option(help="What the key is to the service; without a --scope it may do what that may."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a key and print it, this once."""
    if (company is None) is not operator:
        raise typer.BadParameter("Name either a --company or --operator.")
    scopes = scope or ([EVERYTHING] if role is None else [])
    usual = Role.OPERATOR if operator else Role.ADMIN if EVERYTHING in scopes else Role.SERVICE
    wish = KeyRequest(name, scopes, role or usual)

    async def uow(place: CommandContext) -> str:
        new = await credentials.create_key(
            place.database,
            credentials.OPERATORS if company is None else company,
            wish,
            pepper=_pepper(place),
            by=cli_actor("keys create"),
        )
        return new.token

    say(with_database(data_dir, uow))


def list_(company: OwnerId, data_dir: DataDir = None) -> None:
    """List keys; their secrets are kept nowhere."""

    async def uow(place: CommandContext) -> None:
        found = await credentials.list_keys(place.database, company, after="", limit=1_000)
        say_table(
            ("key", "state", "role", "may", "last used", "takes the place of", "name"),
            [
                (
                    key.key_id,
                    _state(key),
                    key.role,
                    ",".join(sorted(allowed(key.role, key.scopes))),
                    key.last_used_at,
                    key.rotated_from,
                    key.name,
                )
                for key in found
            ],
        )

    with_database(data_dir, uow)


def rotate(
    key_id: Annotated[str, typer.Argument()],
    company: OwnerId,
    overlap_days: Annotated[
        float, typer.Option(min=0, max=90, help="For how many days the old key is still alive.")
    ] = 7,
    data_dir: DataDir = None,
) -> None:
    """Make the successor of a key and print it, this once; the old one ends by itself."""

    async def uow(place: CommandContext) -> str:
        new = await credentials.rotate_key(
            place.database,
            company,
            key_id,
            overlap_seconds=round(overlap_days * _DAY),
            pepper=_pepper(place),
            by=cli_actor("keys rotate"),
        )
        return new.token

    say(with_database(data_dir, uow))


def revoke(key_id: Annotated[str, typer.Argument()], company: OwnerId, data_dir: DataDir = None) -> None:
    """End a key, and every session opened with it."""

    async def uow(place: CommandContext) -> None:
        by = cli_actor("keys revoke")
        await credentials.revoke_key(place.database, company, key_id, by=by)

    with_database(data_dir, uow)


def sign_in_link(
    company: CompanyId,
    role: Annotated[Role, typer.Option(help="As what the browser signs in.")] = Role.ADMIN,
    address: Annotated[str, typer.Option(help="Where browsers find the service.")] = "http://127.0.0.1:8000",
    data_dir: DataDir = None,
) -> None:
    """Make a link that signs a browser in, once, within a quarter of an hour, and print it."""
    if role is Role.OPERATOR:
        raise typer.BadParameter("An operator is of no company; sign in with a key.")

    async def uow(place: CommandContext) -> str:
        by = cli_actor("sign-in-link")
        return await sessions.create_link(place.database, company, role, by=by)

    say(f"{address.rstrip('/')}/sign-in/link/{with_database(data_dir, uow)}")


def _pepper(place: CommandContext) -> str:
    if not place.pepper:
        raise InvalidInputError.at("JOURNEY_KEY_PEPPER", "must be what the service is started with")
    return place.pepper


def _state(key: StoredKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "never ends" if key.expires_at is None else f"ends {key.expires_at.isoformat(timespec='seconds')}"
