"""Staging of an import: writes the lines of a file in batches as they are read."""

from collections.abc import AsyncIterable, Iterator, Sequence
from typing import Final

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.errors import InvalidInputError, JourneyServiceError, UnavailableError
from journey_service.domain.events.errors import TooManyImportsError
from journey_service.domain.events.files.customer_lines import CustomerLine
from journey_service.domain.events.files.import_table import InvalidLineError
from journey_service.domain.events.parsing import ImportLine
from journey_service.domain.events.records import ImportLineError, ImportOptions, ImportRecord
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.events.imports.numbering import number_lines
from journey_service.services.events.imports.reading import ImportSource

_STAGING_BATCH_SIZE = 2_000
_INVALID_WEIGHT = 4
"""An invalid line takes as long to store as this number of valid ones."""
_TIMEOUT_MS = 60_000
MAX_ERRORS_KEPT: Final = 100
"""Maximum number of invalid lines that are kept in memory for the result of a dry run."""
MAX_INVALID_LINES: Final = 20_000
"""Number of invalid lines after which a file is refused if more than half of its lines are invalid."""
MAX_KEPT_CHARACTERS: Final = 4 * 1024**2
"""Maximum number of characters of invalid lines that are stored; the errors of further lines are stored without."""
MAX_UNFINISHED_IMPORTS: Final = 10
"""Maximum number of imports of a company that are being read, wait or run; further ones are refused."""


class Staging:
    """The staged lines of one import file. `first_invalid` are the first invalid lines."""

    def __init__(
        self,
        database: Database,
        company_id: int,
        actor: Actor,
        options: ImportOptions,
        *,
        is_dry_run: bool = False,
    ) -> None:
        self._database = database
        self._company_id = company_id
        self._actor = actor
        self._options = options
        self._is_dry_run = is_dry_run
        self._lines: list[ImportLine | CustomerLine] = []
        self._invalid: list[InvalidLineError] = []
        self._lines_counted = 0
        self._kept_characters = 0
        self.import_id: int | None = None
        self.failed = 0
        self.first_invalid: list[InvalidLineError] = []

    async def add_all(self, source: ImportSource, chunks: AsyncIterable[bytes]) -> None:
        """Reads a file to its end and stages its lines."""
        async for batch in source.read(chunks):
            for line in batch:
                if isinstance(line, InvalidLineError):
                    self._add_invalid(line)
                else:
                    self._lines.append(line)
            if len(self._lines) + _INVALID_WEIGHT * len(self._invalid) >= _STAGING_BATCH_SIZE:
                await self._flush(source)
                self._check_invalid(source)
        await self._flush(source)

    async def finish(self, digest: bytes, source: ImportSource) -> ImportRecord:
        """Queues the import, and records it in the audit log."""
        import_id = self.import_id
        assert import_id is not None  # add_all sets it

        async def unit(uow: UnitOfWork) -> ImportRecord:
            await uow.imports.enqueue(import_id, digest, source.header)
            queued = await uow.imports.find(import_id)
            assert queued is not None  # it was just written
            detail = {"lines": queued.lines}
            await uow.audit_log.record(
                self._actor, AuditEntry("import.create", target=f"import:{import_id}", detail=detail)
            )
            return queued

        return await self._database.run(self._company_id, unit)

    async def abandon(self, error: BaseException) -> None:
        """Marks the import as failed, and deletes its lines."""
        reason = "The upload ended too early."
        if isinstance(error, JourneyServiceError) and not isinstance(error, UnavailableError):
            reason = f"The file was refused: {error}"
        if self.import_id is not None:
            await mark_failed(self._database, self._company_id, self.import_id, reason)

    async def delete(self) -> None:
        """Deletes the import."""
        import_id = self.import_id
        if import_id is None:
            return

        async def unit(uow: UnitOfWork) -> None:
            await uow.imports.delete(import_id)

        await self._database.run(self._company_id, unit, timeout_ms=_TIMEOUT_MS)

    def _check_invalid(self, source: ImportSource) -> None:
        if self.failed > MAX_INVALID_LINES and self.failed * 2 > source.lines_read:
            first = self.first_invalid[0]
            raise InvalidInputError.at(
                "",
                f"has {self.failed:,} invalid lines among the first {source.lines_read:,}; it is read no further."
                f" Line {first.number}: {first.errors[0].pointer.lstrip('/') or 'the line'} {first.errors[0].message}",
            )

    def _add_invalid(self, line: InvalidLineError) -> None:
        self._invalid.append(line)
        self._count_invalid(line)

    def _count_invalid(self, line: InvalidLineError) -> None:
        self.failed += 1
        if len(self.first_invalid) < MAX_ERRORS_KEPT:
            self.first_invalid.append(line)

    async def _flush(self, source: ImportSource) -> None:
        lines, invalid, lines_counted = self._lines, self._invalid, self._lines_counted

        async def unit(uow: UnitOfWork) -> tuple[int, Sequence[InvalidLineError]]:
            import_id = self.import_id
            if import_id is None:
                if await uow.imports.count_unfinished() >= MAX_UNFINISHED_IMPORTS:
                    raise TooManyImportsError(MAX_UNFINISHED_IMPORTS)
                import_id = await uow.imports.insert(
                    self._options, actor=self._actor.name, is_dry_run=self._is_dry_run
                )
            numbered, refused = await number_lines(uow, import_id, lines)
            await uow.import_lines.insert(import_id, numbered)
            if not self._is_dry_run:
                await uow.imports.insert_errors(import_id, list(self._flatten([*invalid, *refused])))
            await uow.imports.add_read_counts(
                import_id,
                lines=source.lines_read - lines_counted,
                staged=len(numbered),
                failed=len(invalid) + len(refused),
            )
            return import_id, refused

        self.import_id, refused = await self._database.run(self._company_id, unit, timeout_ms=_TIMEOUT_MS)
        for line in refused:
            self._count_invalid(line)
        self._lines, self._invalid, self._lines_counted = [], [], source.lines_read

    def _flatten(self, invalid: Sequence[InvalidLineError]) -> Iterator[ImportLineError]:
        """Yields the errors of lines; the first one of each has the cells, within MAX_KEPT_CHARACTERS.

        Cells are kept only of lines that name a customer: an erasure could not find the others.
        """
        for line in invalid:
            cells = None if line.customer_id is None else line.cells
            self._kept_characters += sum(map(len, cells or ()))
            if self._kept_characters > MAX_KEPT_CHARACTERS:
                cells = None
            for at, error in enumerate(line.errors):
                kept = cells if at == 0 else None
                yield ImportLineError(line.number, error.pointer, error.message, line.customer_id, kept)


async def mark_failed(database: Database, company_id: int, import_id: int, error: str) -> None:
    """Ends an import with an error."""

    async def unit(uow: UnitOfWork) -> None:
        await uow.imports.finish(import_id, error=error)

    await database.run(company_id, unit, timeout_ms=_TIMEOUT_MS)
