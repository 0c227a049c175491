"""`optimize-queries`: fresh statistics for the database's planner, and what it says of itself."""

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
    print_note,
    say,
    say_json,
    say_table,
)
from journey_service.services.operations.database_maintenance import Report, dead_share, optimize

_KIB = 1024


def optimize_queries(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Refresh the statistics of every table, as the login that owns them, and report on the database."""
    with owner_url(data_dir) as url, bar(is_shown=not as_json) as shown:
        line = shown.add_task("analysing", total=None)
        report = asyncio.run(
            optimize(
                url,
                on_progress=lambda table, done, total: shown.update(
                    line, description=f"analysing {table}", completed=done, total=total
                ),
            )
        )
    if as_json:
        say_json(_shown(report))
    else:
        _tell(report)
    if not report.is_sound:
        raise typer.Exit(EXIT_FINDINGS)


def _shown(report: Report) -> Mapping[str, object]:
    return {
        "is_sound": report.is_sound,
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


def _tell(report: Report) -> None:
    say_table(
        ("table", "rows", "dead", "dead share", "size", "vacuumed", "analysed"),
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
    say()
    unused = {index.name for index in report.unused}
    say_table(
        ("index", "table", "size", "scans", ""),
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
    say()
    if report.oldest is None:
        say("No other transaction is open.")
    else:
        oldest = report.oldest
        say(f"The oldest transaction has been open for {oldest.seconds:.1f} s: {_whose(report)}.")
    if report.statements:
        say()
        heading = "seconds, on average" if report.are_averages else "seconds, so far"
        rows = [(f"{each.seconds:.3f}", each.calls, each.statement) for each in report.statements]
        say_table((heading, "calls", "statement"), rows)
    for note in report.notes:
        print_note(note)
    _warn(report)


def _whose(report: Report) -> str:
    assert report.oldest is not None  # noqa: S101  # asked about one that is there
    application = report.oldest.application or "an application without a name"
    return f"{application}, process {report.oldest.pid}, {report.oldest.state or 'in a state that is hidden'}"


def _warn(report: Report) -> None:
    for table, reason in report.left_out:
        print_error(f"The statistics of {table} were left as they are: the table {reason}.")
    for bloated in report.bloated:
        print_error(f"{dead_share(bloated):.0%} of {bloated.name} are dead rows: VACUUM it.")
    for index in report.invalid:
        print_error(
            f"The index {index.name} of {index.table} is invalid: REINDEX INDEX CONCURRENTLY {index.name}."
        )
    for table, index_name in report.missing:
        print_error(f"The index {index_name} of {table} is missing: this version is written for it.")


def _size(number: int) -> str:
    size = float(number)
    for unit in ("B", "KiB", "MiB"):
        if size < _KIB:
            return f"{size:.0f} {unit}"
        size /= _KIB
    return f"{size:.1f} GiB"
