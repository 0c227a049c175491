"""`backup` and `restore`: encrypted backups of the database, and the journal of erasures in the same folder."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from journey_service.cli.erasures import ErasureJournal, export_lines, read_journal
from journey_service.cli.terminal import (
    DEFAULT_DATA_DIR,
    EXIT_FINDINGS,
    AsJson,
    DataDir,
    checked_directory,
    cli_actor,
    expected_errors,
    print_error,
    print_json,
    print_line,
    print_note,
)
from journey_service.domain.errors import InvalidInputError
from journey_service.embedded import SERVICE_SECRETS, EmbeddedServers, connect_or_start
from journey_service.embedded.files import write_private
from journey_service.gateways.encrypted_files import EncryptedFileWriter, read_encrypted_file
from journey_service.repositories.customers.tombstones import ErasureKey
from journey_service.repositories.database import Database
from journey_service.services.operations.backups import (
    BackupHeader,
    BackupResult,
    RestoreResult,
    check_backup,
    check_target,
    restore_backup,
    write_backup,
)
from journey_service.setting_groups.secret_strength import is_guessable
from journey_service.settings import read_migration_settings

JOURNAL: Final = "erasures.ndjson"
"""The journal of erasures in a folder of backups."""

KeyFile = Annotated[
    Path,
    typer.Option(
        "--key-file",
        envvar="JOURNEY_BACKUP_KEY_FILE",
        exists=True,
        dir_okay=False,
        help="File with the key of the backups, such as the output of `openssl rand -base64 32`.",
    ),
]


@dataclass(frozen=True, repr=False)  # a repr would write secrets into logs
class _DatabaseAccess:
    """A database by its two logins, and the secrets of the service as far as they are known."""

    owner_url: str
    service_url: str
    secrets: Mapping[str, str]
    are_embedded: bool


def backup(
    folder: Annotated[Path, typer.Argument(file_okay=False, exists=True, help="Folder for the backup.")],
    key_file: KeyFile,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write an encrypted backup of the database, and the journal of erasures, to a folder."""
    with expected_errors():
        key = _read_key(key_file)
        with _source(data_dir) as access:
            begun = time.monotonic()
            at = datetime.now(UTC)  # noqa: TID251  # a composition root
            path = folder / f"journey-{at:%Y%m%dT%H%M%S%fZ}.backup"
            result = _write(path, key, access, as_json=as_json)
            # After the backup, so that the journal contains every erasure of the backup.
            tombstones = asyncio.run(_write_journal(access.service_url, folder / JOURNAL))
        check_backup(read_encrypted_file(path, key))
    shown = {
        "file": str(path),
        "taken_at": result.taken_at,
        "tables": result.tables,
        "rows": result.rows,
        "bytes": path.stat().st_size,
        "tombstones": tombstones,
        "seconds": round(time.monotonic() - begun, 1),
    }
    if as_json:
        print_json(shown)
    else:
        print_line(f"{path}: {result.rows:,} rows, {shown['bytes']:,} bytes, {shown['seconds']} s; verified")


def _write(path: Path, key: str, access: _DatabaseAccess, *, as_json: bool) -> BackupResult:
    with EncryptedFileWriter(path, key) as file:
        return asyncio.run(
            write_backup(
                access.owner_url,
                file.write,
                erasure_key=access.secrets.get("erasure_key"),
                secrets=access.secrets if access.are_embedded else {},
                on_progress=_progress(as_json=as_json),
            )
        )


def restore(
    file: Annotated[Path, typer.Argument(dir_okay=False, exists=True, help="The backup.")],
    key_file: KeyFile,
    data_dir: DataDir = None,
    erasures: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False,
            help=f"Journal of erasures. Default: {JOURNAL} beside the backup.",
            show_default=False,
        ),
    ] = None,
    without_erasures: Annotated[
        bool, typer.Option("--without-erasures", help="Accept that customers erased later return.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete the content of the database first.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Only verify the backup and its journal.")] = False,
    as_json: AsJson = False,
) -> None:
    """Restore a backup into an empty database, and re-apply the erasures that were made after it."""
    with expected_errors():
        key = _read_key(key_file)
        begun = time.monotonic()
        header, rows = check_backup(read_encrypted_file(file, key))
        journal = None if without_erasures else _read_journal(erasures or file.parent / JOURNAL, header)
        if not as_json:
            print_note(f"The backup of {header.taken_at.isoformat()} is complete: {rows:,} rows.")
        if check:
            _print_restore(header, rows, journal, None, begun, as_json=as_json)
            return
        with _target(data_dir, header, may_replace=replace) as access:
            _check_erasure_key(header, access.secrets)
            result = asyncio.run(
                restore_backup(
                    access.owner_url,
                    read_encrypted_file(file, key),
                    erasure_key=access.secrets["erasure_key"],
                    vault_key=access.secrets.get("vault_key"),
                    tombstones={} if journal is None else journal.tombstones,
                    by=cli_actor("restore"),
                    on_progress=_progress(as_json=as_json),
                )
            )
    _print_restore(header, rows, journal, result, begun, as_json=as_json)
    if result.refused:
        raise typer.Exit(EXIT_FINDINGS)


def _print_restore(
    header: BackupHeader,
    rows: int,
    journal: ErasureJournal | None,
    result: RestoreResult | None,
    begun: float,
    *,
    as_json: bool,
) -> None:
    shown = {
        "taken_at": header.taken_at,
        "rows": rows,
        "is_restored": result is not None,
        "erased": 0 if result is None else result.erased,
        "erasures_until": None if journal is None else journal.exported_at,
        "logins": [name for name, _ in header.logins],
        "seconds": round(time.monotonic() - begun, 1),
    }
    if as_json:
        print_json(shown)
    elif result is not None:
        print_line(f"{rows:,} rows restored, {result.erased} erasures re-applied, {shown['seconds']} s")
        if header.logins:
            print_note(f"Set the passwords of new logins of: {', '.join(name for name, _ in header.logins)}.")
    for statement in () if result is None else result.refused:
        print_error(f"This login may not run: {statement}")


def _read_key(file: Path) -> str:
    key = file.read_text(encoding="utf-8").strip()
    if is_guessable(key):
        raise InvalidInputError.at("--key-file", "contains a key that can be guessed")
    return key


def _progress(*, as_json: bool) -> Callable[[str, int], None]:
    def print_table_line(table: str, rows: int) -> None:
        if rows and not as_json:
            print_note(f"{table}: {rows:,} rows")

    return print_table_line


@contextmanager
def _source(data_dir: Path | None) -> Iterator[_DatabaseAccess]:
    if data_dir is None and (access := _from_environment()) is not None:
        yield access
        return
    with connect_or_start(checked_directory(data_dir)) as servers:
        secrets = {name: servers.secrets[name] for name in SERVICE_SECRETS}
        yield _DatabaseAccess(servers.database_url, servers.database_url, secrets, are_embedded=True)


@contextmanager
def _target(data_dir: Path | None, header: BackupHeader, *, may_replace: bool) -> Iterator[_DatabaseAccess]:
    """Yields the database of a restore. Raises ConflictError if it is in use, or has content and may not lose it."""
    if data_dir is None and (access := _from_environment()) is not None:
        asyncio.run(check_target(access.owner_url, may_replace=may_replace))
        yield access
        return
    embedded = EmbeddedServers(DEFAULT_DATA_DIR if data_dir is None else data_dir, with_valkey=False)
    with embedded as servers:
        asyncio.run(check_target(servers.database_url, may_replace=may_replace))
        given = dict(header.secrets) or _environment_secrets()
        embedded.replace_secrets(given)
        secrets = {**servers.secrets, **given}
        yield _DatabaseAccess(servers.database_url, servers.database_url, secrets, are_embedded=True)


def _from_environment() -> _DatabaseAccess | None:
    """Returns the database of the environment; None if it names none."""
    if not (os.environ.get("DATABASE_URL") or os.environ.get("MIGRATION_DATABASE_URL")):
        return None
    settings = read_migration_settings()
    service_url = settings.database_url.get_secret_value()
    return _DatabaseAccess(settings.url, service_url, _environment_secrets(), are_embedded=False)


def _environment_secrets() -> dict[str, str]:
    named = {name: os.environ.get(f"JOURNEY_{name.upper()}") for name in SERVICE_SECRETS}
    return {name: value for name, value in named.items() if value}


def _check_erasure_key(header: BackupHeader, secrets: Mapping[str, str]) -> None:
    """Checks that the key of the tombstones is the one of the backup. Raises InvalidInputError."""
    key = secrets.get("erasure_key")
    if key is None:
        raise InvalidInputError.at("JOURNEY_ERASURE_KEY", "is required to restore a backup")
    if header.erasure_key_id is not None and ErasureKey(key).id.hex() != header.erasure_key_id:
        raise InvalidInputError.at("JOURNEY_ERASURE_KEY", "is not the key of the database in the backup")


def _read_journal(file: Path, header: BackupHeader) -> ErasureJournal:
    if not file.is_file():
        raise InvalidInputError.at(
            "--erasures", f"{file} does not exist: customers erased after the backup would return"
        )
    journal = read_journal(file)
    if journal.exported_at < header.taken_at:
        raise InvalidInputError.at("--erasures", f"{file} is older than the backup")
    return journal


async def _write_journal(url: str, file: Path) -> int:
    """Replaces the journal of a folder; returns the number of tombstones."""
    database = Database(url, application_name="journey-command", pool_timeout=10)
    try:
        lines = await export_lines(database)
    finally:
        await database.close()
    write_private(file, "\n".join(lines) + "\n")
    return len(lines) - 1
