"""`migrate`, and `optimize-queries`, which refreshes the planner's statistics and reports on the database."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict

import typer

from journey_service.cli.terminal import (
    EXIT_FINDINGS,
    AsJson,
    DataDir,
    bar,
    owner_url,
    print_error,
    print_json,
    print_line,
    print_note,
    print_table,
)
from journey_service.repositories import migrations
from journey_service.services.operations.database_maintenance import Report, dead_share, optimize

_KIB = 1024


def optimize_queries(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Run ANALYZE on every table as its owner, and report on tables, indexes, and queries."""
    with owner_url(data_dir) as url, bar(is_shown=not as_json) as shown:
        line = shown.add_task("analyzing", total=None)
        report = asyncio.run(
            optimize(
                url,
                on_progress=lambda table, done, total: shown.update(
                    line, description=f"analyzing {table}", completed=done, total=total
                ),
            )
        )
    if as_json:
        print_json(_shown(report))
    else:
        _print_result(report)
    if not report.is_valid:
        raise typer.Exit(EXIT_FINDINGS)


def _shown(report: Report) -> Mapping[str, object]:
    return {
        "is_valid": report.is_valid,
        "tables": [_without_quoted(asdict(table)) for table in report.tables],
        "needing_vacuum": [table.name for table in report.bloated],
        "left_out": [{"table": table, "reason": reason} for table, reason in report.left_out],
        "indexes": report.indexes,
        "unused_indexes": [index.name for index in report.unused],
        "invalid_indexes": [index.name for index in report.invalid],
        "missing_indexes": [{"table": table, "index": index} for table, index in report.missing],
        "oldest_transaction": report.oldest,
        "statements": report.statements,
        "statements_are_averages": report.are_averages,
        "notes": report.notes,
    }


def _without_quoted(table: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in table.items() if name != "quoted"}


def _print_result(report: Report) -> None:
    _print_tables(report)
    print_line()
    _print_indexes(report)
    print_line()
    if report.oldest is None:
        print_line("No other transaction is open.")
    else:
        oldest = report.oldest
        print_line(
            f"The oldest transaction has been open for {oldest.seconds:.1f} s: {_transaction_owner(report)}."
        )
    if report.statements:
        print_line()
        heading = "mean seconds" if report.are_averages else "elapsed seconds"
        rows = [(f"{each.seconds:.3f}", each.calls, each.statement) for each in report.statements]
        print_table((heading, "calls", "statement"), rows)
    for note in report.notes:
        print_note(note)
    _warn(report)


def _print_tables(report: Report) -> None:
    print_table(
        ("table", "rows", "dead", "dead share", "size", "vacuumed", "analyzed"),
        [
            (
                table.name,
                table.live_rows,
                table.dead_rows,
                f"{dead_share(table):.0%}",
                _size(table.bytes),
                table.vacuumed_at,
                table.analyzed_at,
            )
            for table in report.tables
        ],
    )


def _print_indexes(report: Report) -> None:
    unused = {index.name for index in report.unused}
    print_table(
        ("index", "table", "size", "scans", "finding"),
        [
            (
                index.name,
                index.table,
                _size(index.bytes),
                index.scans,
                "invalid" if not index.is_valid else "never used" if index.name in unused else "",
            )
            for index in report.indexes
        ],
    )


def _transaction_owner(report: Report) -> str:
    assert report.oldest is not None  # the caller has checked it
    application = report.oldest.application or "an unnamed application"
    return f"{application}, process {report.oldest.pid}, {report.oldest.state or 'state unknown'}"


def _warn(report: Report) -> None:
    for table, reason in report.left_out:
        print_error(f"The statistics of {table} were not refreshed: the table {reason}.")
    for bloated in report.bloated:
        print_error(f"{dead_share(bloated):.0%} of {bloated.name} are dead rows: run VACUUM.")
    for index in report.invalid:
        print_error(
            f"The index {index.name} of {index.table} is invalid: run REINDEX INDEX CONCURRENTLY {index.name}."
        )
    for table, index_name in report.missing:
        print_error(f"The index {index_name} of {table} is missing; run `journey migrate`.")


def _size(number: int) -> str:
    size = float(number)
    for unit in ("B", "KiB", "MiB"):
        if size < _KIB:
            return f"{size:.0f} {unit}"
        size /= _KIB
    return f"{size:.1f} GiB"


def migrate(data_dir: DataDir = None) -> None:
    """Migrate the database to the schema of this version."""
    with owner_url(data_dir) as url:
        migrations.upgrade(url)
    print_note("The schema is up to date.")
