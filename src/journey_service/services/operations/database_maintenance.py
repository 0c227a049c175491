"""Database maintenance: refreshes planner statistics and reports the state of tables and indexes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from journey_service.repositories.database_maintenance import (
    IndexState,
    OpenTransaction,
    SlowStatement,
    TableState,
    list_required_indexes,
    open_maintenance,
)

MAX_DEAD_SHARE: Final = 0.2
MAX_DEAD_ROWS: Final = 10_000
"""A table counts as bloated if it has more dead rows than this and a share above `MAX_DEAD_SHARE`."""

_STATEMENTS_NOTE: Final = (
    "The server does not record slow statements: add pg_stat_statements to shared_preload_libraries, restart it, and"
    " run CREATE EXTENSION pg_stat_statements. These are the statements running right now."
)
_HIDDEN_NOTE: Final = (
    "Statements and transactions of other roles are hidden; GRANT pg_read_all_stats shows them."
)


@dataclass(frozen=True, slots=True)
class Report:
    """The state of a database.

    `left_out` are the tables whose statistics could not be refreshed, each with the reason; `missing` are the
    (table, index) that this version needs and the database does not have. `notes` explain what is not visible.
    """

    tables: tuple[TableState, ...]
    indexes: tuple[IndexState, ...]
    left_out: tuple[tuple[str, str], ...]
    missing: tuple[tuple[str, str], ...]
    oldest: OpenTransaction | None
    statements: tuple[SlowStatement, ...]
    are_averages: bool
    notes: tuple[str, ...]

    @property
    def invalid(self) -> tuple[IndexState, ...]:
        """Indexes that PostgreSQL marks as invalid."""
        return tuple(index for index in self.indexes if not index.is_valid)

    @property
    def unused(self) -> tuple[IndexState, ...]:
        """Indexes that were never scanned and enforce no constraint."""
        return tuple(
            index for index in self.indexes if not (index.scans or index.is_unique or index.is_primary)
        )

    @property
    def bloated(self) -> tuple[TableState, ...]:
        """Tables with too many dead rows."""
        return tuple(
            table
            for table in self.tables
            if table.dead_rows > MAX_DEAD_ROWS and dead_share(table) > MAX_DEAD_SHARE
        )

    @property
    def is_valid(self) -> bool:
        """Whether every needed index exists and every existing index is valid."""
        return not self.missing and not self.invalid


def dead_share(table: TableState) -> float:
    """Returns the share of dead rows in all rows of a table."""
    rows = table.live_rows + table.dead_rows
    return table.dead_rows / rows if rows else 0.0


async def optimize(url: str, *, on_progress: Callable[[str, int, int], None] | None = None) -> Report:
    """Refreshes the statistics of every table, as the role that owns them, and reports on the database.

    `on_progress` is called with the table, the number of finished tables, and their total. Raises UnavailableError.
    """
    async with open_maintenance(url) as upkeep:
        before = await upkeep.list_tables()
        left_out = []
        for done, table in enumerate(before):
            if on_progress is not None:
                on_progress(table.name, done, len(before))
            if not table.is_own:
                left_out.append((table.name, "belongs to another role"))
            elif not await upkeep.analyze(table):
                left_out.append((table.name, "is locked by another session"))
        if on_progress is not None:
            on_progress("all tables", len(before), len(before))
        indexes = await upkeep.list_indexes()
        present = {index.name for index in indexes}
        slowest = await upkeep.list_slowest()
        notes = [] if slowest is not None else [_STATEMENTS_NOTE]
        if not await upkeep.sees_all_statements():
            notes.append(_HIDDEN_NOTE)
        return Report(
            tables=tuple(await upkeep.list_tables()),
            indexes=tuple(indexes),
            left_out=tuple(left_out),
            missing=tuple((table, name) for table, name in list_required_indexes() if name not in present),
            oldest=await upkeep.find_oldest_transaction(),
            statements=tuple(await upkeep.list_running() if slowest is None else slowest),
            are_averages=slowest is not None,
            notes=tuple(notes),
        )
