"""The database kept in shape: fresh statistics for its planner, and a report on what is not as it should be."""

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

DEAD_SHARE_ALLOWED: Final = 0.2
DEAD_ROWS_ALLOWED: Final = 10_000
"""A table needs vacuuming when more than these are dead, and more than the share of all its rows."""

_HOW_TO_COUNT: Final = (
    "The server keeps no count of slow statements: put pg_stat_statements into shared_preload_libraries,"
    " restart it, and run CREATE EXTENSION pg_stat_statements. These are the statements running right now."
)
_HIDDEN: Final = (
    "What other logins do is hidden from this one: GRANT pg_read_all_stats shows their statements and"
    " transactions too."
)


@dataclass(frozen=True, slots=True)
class Report:
    """The state of a database.

    `left_out` are tables whose statistics could not be refreshed, each with the reason; `missing` are
    (table, index) this version is written for and the database does not have. `notes` are sentences on what
    could not be seen.
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
        """Indexes that answer no question."""
        return tuple(index for index in self.indexes if not index.is_valid)

    @property
    def unused(self) -> tuple[IndexState, ...]:
        """Indexes that keep nothing unique and were never used."""
        return tuple(
            index for index in self.indexes if not (index.scans or index.is_unique or index.is_primary)
        )

    @property
    def bloated(self) -> tuple[TableState, ...]:
        """Tables of which too much is dead."""
        return tuple(
            table
            for table in self.tables
            if table.dead_rows > DEAD_ROWS_ALLOWED and dead_share(table) > DEAD_SHARE_ALLOWED
        )

    @property
    def is_sound(self) -> bool:
        """Whether every index that is needed is there, and every index that is there works."""
        return not self.missing and not self.invalid


def dead_share(table: TableState) -> float:
    """Which part of a table's rows nobody can see any more."""
    rows = table.live_rows + table.dead_rows
    return table.dead_rows / rows if rows else 0.0


async def optimize(url: str, *, on_progress: Callable[[str, int, int], None] | None = None) -> Report:
    """Refresh the statistics of every table, as the login that owns them, and report on the database.

    `on_progress` is told the table, how many are done, and of how many. Raises UnavailableError.
    """
    async with open_maintenance(url) as upkeep:
        before = await upkeep.list_tables()
        left_out = []
        for done, table in enumerate(before):
            if on_progress is not None:
                on_progress(table.name, done, len(before))
            if not table.is_own:
                left_out.append((table.name, "belongs to another login"))
            elif not await upkeep.analyze(table):
                left_out.append((table.name, "is held by somebody else right now"))
        if on_progress is not None:
            on_progress("all tables", len(before), len(before))
        indexes = await upkeep.list_indexes()
        there = {index.name for index in indexes}
        slowest = await upkeep.list_slowest()
        notes = [] if slowest is not None else [_HOW_TO_COUNT]
        if not await upkeep.sees_all_statements():
            notes.append(_HIDDEN)
        return Report(
            tables=tuple(await upkeep.list_tables()),
            indexes=tuple(indexes),
            left_out=tuple(left_out),
            missing=tuple((table, name) for table, name in list_required_indexes() if name not in there),
            oldest=await upkeep.find_oldest_transaction(),
            statements=tuple(await upkeep.list_running() if slowest is None else slowest),
            are_averages=slowest is not None,
            notes=tuple(notes),
        )
