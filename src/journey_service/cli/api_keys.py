"""`keys create`, `keys list`, `keys rotate`, `keys revoke`, `sign-in-link`."""

import os
from pathlib import Path
from typing import Annotated, Final

import typer

from journey_service.cli.terminal import (
    CommandContext,
    CompanyId,
    DataDir,
    checked_directory,
    cli_actor,
    print_line,
    print_table,
    with_database,
)
from journey_service.domain.access.actors import EVERYTHING, Role
from journey_service.domain.access.records import StoredKey
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.event import MAX_ID
from journey_service.embedded import read_address
from journey_service.services.access import credentials, sessions
from journey_service.services.access.credentials import KeyRequest, allowed

OwnerCompany = Annotated[
    int | None, typer.Option("--company", min=1, max=MAX_ID, help="The company's id.", show_default=False)
]
ForOperators = Annotated[bool, typer.Option("--operator", help="The operators instead of a company.")]
KeyId = Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")]
_DAY_SECONDS = 86_400
DEFAULT_ADDRESS: Final = "http://127.0.0.1:8000"


def owner_id(company: int | None, *, is_operator: bool) -> int:
    """Returns the id that keys and audit entries are stored under. Raises BadParameter unless one option is set."""
    if (company is None) is not is_operator:
        raise typer.BadParameter("Set either --company or --operator.")
    return credentials.OPERATORS if company is None else company


def create(
    name: Annotated[str, typer.Argument(help="Name of the key.")],
    company: OwnerCompany = None,
    operator: ForOperators = False,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="A scope of the key; repeat the option for several. Default: * (full access to the company)."
        ),
    ] = None,
    role: Annotated[
        Role | None,
        typer.Option(help="Role of the key. Without --scope, the key gets the scopes of the role."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Create an API key and print its secret once."""
    owner = owner_id(company, is_operator=operator)
    scopes = scope or ([EVERYTHING] if role is None else [])
    default_role = Role.OPERATOR if operator else Role.ADMIN if EVERYTHING in scopes else Role.SERVICE
    request = KeyRequest(name, scopes, role or default_role)

    async def run(context: CommandContext) -> str:
        new = await credentials.create_key(
            context.database,
            owner,
            request,
            pepper=_pepper(context),
            by=cli_actor("keys create"),
        )
        return new.token

    print_line(with_database(data_dir, run))


def list_(company: OwnerCompany = None, operator: ForOperators = False, data_dir: DataDir = None) -> None:
    """List API keys, without their secrets."""
    owner = owner_id(company, is_operator=operator)

    async def run(context: CommandContext) -> None:
        found = await credentials.list_keys(context.database, owner, after="", limit=1_000)
        print_table(
            ("key", "state", "role", "scopes", "last used", "rotated from", "name"),
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

    with_database(data_dir, run)


def rotate(
    key_id: KeyId,
    company: OwnerCompany = None,
    operator: ForOperators = False,
    overlap_days: Annotated[
        float, typer.Option(min=0, max=90, help="Number of days for which the old key stays valid.")
    ] = 7,
    data_dir: DataDir = None,
) -> None:
    """Create the successor of an API key and print its secret once; the old key expires after the overlap."""
    owner = owner_id(company, is_operator=operator)

    async def run(context: CommandContext) -> str:
        new = await credentials.rotate_key(
            context.database,
            owner,
            key_id,
            overlap_seconds=round(overlap_days * _DAY_SECONDS),
            pepper=_pepper(context),
            by=cli_actor("keys rotate"),
        )
        return new.token

    print_line(with_database(data_dir, run))


def revoke(
    key_id: KeyId, company: OwnerCompany = None, operator: ForOperators = False, data_dir: DataDir = None
) -> None:
    """Revoke an API key and end every session opened with it."""
    owner = owner_id(company, is_operator=operator)

    async def run(context: CommandContext) -> None:
        by = cli_actor("keys revoke")
        await credentials.revoke_key(context.database, owner, key_id, by=by)

    with_database(data_dir, run)


def sign_in_link(
    company: CompanyId,
    role: Annotated[Role, typer.Option(help="Role of the session.")] = Role.ADMIN,
    address: Annotated[
        str | None,
        typer.Option(
            help="URL of the service. Default: the URL of `journey up`, or JOURNEY_PUBLIC_URL.",
            show_default=False,
        ),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Print a one-time link that signs a browser in for a company; it is valid for 15 minutes."""
    if role is Role.OPERATOR:
        raise typer.BadParameter("Operators belong to no company: they sign in with an API key.")

    async def run(context: CommandContext) -> str:
        by = cli_actor("sign-in-link")
        return await sessions.create_link(context.database, company, role, by=by)

    link = with_database(data_dir, run)
    print_line(f"{(address or _address(data_dir)).rstrip('/')}/sign-in/link/{link}")


def _address(data_dir: Path | None) -> str:
    """Returns the URL of the service for links."""
    if data_dir is None and os.environ.get("DATABASE_URL"):
        return os.environ.get("JOURNEY_PUBLIC_URL") or DEFAULT_ADDRESS
    return read_address(checked_directory(data_dir)) or DEFAULT_ADDRESS


def _pepper(context: CommandContext) -> str:
    if not context.pepper:
        raise InvalidInputError.at("JOURNEY_KEY_PEPPER", "must be set to the value that the service uses")
    return context.pepper


def _state(key: StoredKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return (
        "no expiry" if key.expires_at is None else f"expires {key.expires_at.isoformat(timespec='seconds')}"
    )
