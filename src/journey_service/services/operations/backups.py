"""Backups: writes all rows of a database as one stream, and restores them into an empty database.

The stream is compressed. It consists of frames: a letter, the length in four bytes, and the content.

    H  JSON: the header
    T  JSON: a table; its rows follow
    D  bytes: rows in PostgreSQL's text format
    R  JSON: the number of rows of the table
    Z  JSON: the number of all rows; the last frame
"""

import asyncio
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from journey_service.domain.access.actors import Actor
from journey_service.domain.errors import ConflictError, InvalidInputError, UnavailableError
from journey_service.repositories import backups as storage
from journey_service.repositories import migrations
from journey_service.repositories.customers.tombstones import ErasureKey, Tombstone
from journey_service.repositories.database import Database
from journey_service.services.customers.privacy import reapply_erasures

OnProgress = Callable[[str, int], None]
"""Called after each table, with its name and number of rows."""

_FORMAT: Final = 1
_HEADER, _TABLE, _DATA, _ROWS, _END = b"H", b"T", b"D", b"R", b"Z"
_FRAME: Final = struct.Struct(">cI")
_MAX_FRAME_BYTES: Final = 1 << 30


@dataclass(frozen=True, repr=False)  # a repr would write secrets into logs
class BackupHeader:
    """What a backup contains.

    `erasure_key_id` identifies the key of its tombstones, if the key was known. `secrets` are those of a data
    directory, which has no other copy of them.
    """

    taken_at: datetime
    revision: str
    server_version: str
    erasure_key_id: str | None
    secrets: Mapping[str, str]
    tables: Sequence[storage.TableShape]
    sequences: Sequence[tuple[str, int]]
    logins: Sequence[tuple[str, Sequence[str]]]


@dataclass(frozen=True, slots=True)
class BackupResult:
    """Size of a backup: tables and rows."""

    taken_at: datetime
    tables: int
    rows: int


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """Result of a restore: rows, customers that were erased again, and statements that need a higher login."""

    taken_at: datetime
    rows: int
    erased: int
    refused: Sequence[str]


async def write_backup(
    url: str,
    write: Callable[[bytes], None],
    *,
    erasure_key: str | None,
    secrets: Mapping[str, str],
    on_progress: OnProgress,
) -> BackupResult:
    """Writes all rows of one snapshot. Raises UnavailableError, and ConflictError if a table cannot be read."""
    compressor = zlib.compressobj(level=1)

    def frame(kind: bytes, content: bytes) -> None:
        write(compressor.compress(_FRAME.pack(kind, len(content)) + content))

    async def write_data(data: bytes) -> None:
        frame(_DATA, data)

    total = 0
    async with storage.open_snapshot(url) as snapshot:
        info = await snapshot.get_info()
        header = {
            "format": _FORMAT,
            "taken_at": info.taken_at,
            "revision": info.revision,
            "server_version": info.server_version,
            "erasure_key_id": None if erasure_key is None else ErasureKey(erasure_key).id.hex(),
            "secrets": secrets,
            "tables": [{"name": table.name, "columns": table.columns} for table in info.tables],
            "sequences": info.sequences,
            "logins": info.logins,
        }
        frame(_HEADER, orjson.dumps(header))
        for table in info.tables:
            frame(_TABLE, orjson.dumps({"name": table.name}))
            rows = await snapshot.copy_rows(table, write_data)
            frame(_ROWS, orjson.dumps({"rows": rows}))
            total += rows
            on_progress(table.name, rows)
    frame(_END, orjson.dumps({"rows": total}))
    write(compressor.flush())
    return BackupResult(info.taken_at, len(info.tables), total)


def check_backup(content: Iterable[bytes]) -> tuple[BackupHeader, int]:
    """Reads a whole backup without a database; returns its header and number of rows.

    Raises InvalidInputError if it is incomplete or of another format, and what `content` raises.
    """
    frames = _read_frames(content)
    header, total = _read_header(frames), 0
    for kind, payload in frames:
        if kind == _ROWS:
            total += orjson.loads(payload)["rows"]
        if kind == _END and orjson.loads(payload)["rows"] != total:
            raise InvalidInputError.at("backup", "contains another number of rows than it states")
    return header, total


async def check_target(url: str, *, may_replace: bool) -> bool:
    """Returns whether the database has tables. Raises ConflictError if it has and may not, or if it is in use."""
    if sessions := await storage.count_sessions(url):
        raise ConflictError(
            f"The database is in use by {sessions} connections of the service: stop it first."
        )
    is_filled = await storage.has_tables(url)
    if is_filled and not may_replace:
        raise ConflictError("The database is not empty: --replace deletes its schema `public` first.")
    return is_filled


async def restore_backup(
    url: str,
    content: Iterable[bytes],
    *,
    erasure_key: str,
    vault_key: str | None,
    tombstones: Mapping[int, Sequence[Tombstone]],
    by: Actor,
    on_progress: OnProgress,
) -> RestoreResult:
    """Restores a backup that `check_backup` has accepted; the target is emptied.

    The schema is migrated to the revision of the backup, filled in one transaction, migrated to this version, and the
    erasures are re-applied. Until then `/readyz` answers 503. Raises UnavailableError and ConflictError; the database
    is empty then, or not ready.
    """
    frames = _read_frames(content)
    header = _read_header(frames)
    if await storage.has_tables(url):
        await storage.drop_everything(url)
    try:
        await _migrate(url, header.revision)
        async with storage.open_target(url) as target:
            rows = await _write_tables(target, header, frames, on_progress)
    except BaseException:
        with suppress(UnavailableError, ConflictError):
            await storage.drop_everything(url)
        raise
    await _migrate(url, "head")
    await storage.set_ready(url, is_ready=False)
    erased = await _reapply(url, tombstones, erasure_key=erasure_key, vault_key=vault_key, by=by)
    refused = await storage.create_logins(url, header.logins)
    await storage.analyze(url)
    await storage.set_ready(url, is_ready=True)
    return RestoreResult(header.taken_at, rows, erased, refused)


async def _migrate(url: str, revision: str) -> None:
    # Alembic runs an event loop of its own.
    await asyncio.to_thread(migrations.upgrade, url, revision)


async def _write_tables(
    target: storage.RestoreTarget,
    header: BackupHeader,
    frames: Iterator[tuple[bytes, bytes]],
    on_progress: OnProgress,
) -> int:
    shapes, total = {table.name: table for table in header.tables}, 0
    await target.prepare(header.tables)
    for kind, payload in frames:
        if kind == _TABLE:
            table = shapes[orjson.loads(payload)["name"]]
            stated: list[int] = []
            written = await target.write_rows(table, _table_data(frames, stated))
            if stated != [written]:
                raise ConflictError(f"{written} rows of {table.name} were restored instead of {stated}.")
            total += written
            on_progress(table.name, written)
    await target.finish(header.tables, header.sequences)
    return total


def _table_data(frames: Iterator[tuple[bytes, bytes]], stated: list[int]) -> Iterator[bytes]:
    """Yields the rows of a table, then adds the number of rows that the backup states to `stated`."""
    for kind, payload in frames:
        if kind == _ROWS:
            stated.append(orjson.loads(payload)["rows"])
            return
        yield payload


async def _reapply(
    url: str,
    tombstones: Mapping[int, Sequence[Tombstone]],
    *,
    erasure_key: str,
    vault_key: str | None,
    by: Actor,
) -> int:
    database = Database(
        url,
        application_name="journey-restore",
        pool_timeout=30,
        statement_timeout_ms=60_000,
        erasure_key=erasure_key,
        vault_key=vault_key,
    )
    try:
        return sum(
            [
                await reapply_erasures(database, company_id, stones, by=by)
                for company_id, stones in tombstones.items()
            ]
        )
    finally:
        await database.close()


def _read_header(frames: Iterator[tuple[bytes, bytes]]) -> BackupHeader:
    kind, payload = next(frames)
    read: dict[str, Any] = orjson.loads(payload) if kind == _HEADER else {}
    if read.get("format") != _FORMAT:
        raise InvalidInputError.at("backup", "has a format that this version does not know")
    if not migrations.is_known(read["revision"]):
        raise InvalidInputError.at("backup", f"has the schema {read['revision']} of a newer version")
    return BackupHeader(
        taken_at=datetime.fromisoformat(read["taken_at"]),
        revision=read["revision"],
        server_version=read["server_version"],
        erasure_key_id=read["erasure_key_id"],
        secrets=read["secrets"],
        tables=[storage.TableShape(table["name"], table["columns"]) for table in read["tables"]],
        sequences=[(name, value) for name, value in read["sequences"]],
        logins=[(name, roles) for name, roles in read["logins"]],
    )


def _read_frames(content: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yields kind and content of each frame, the last one included. Raises InvalidInputError."""
    decompressor, buffer, kind = zlib.decompressobj(), bytearray(), b""
    for block in content:
        buffer += decompressor.decompress(block)
        start = 0
        while len(buffer) - start >= _FRAME.size:
            kind, length = _FRAME.unpack_from(buffer, start)
            if length > _MAX_FRAME_BYTES:
                raise InvalidInputError.at("backup", "has a frame that is too long")
            end = start + _FRAME.size + length
            if end > len(buffer):
                break
            yield kind, bytes(buffer[start + _FRAME.size : end])
            start = end
        del buffer[:start]
    if kind != _END or buffer:
        raise InvalidInputError.at("backup", "is incomplete")
