"""`clock`: shows a company's clock, or advances or releases its test clock."""

import re
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated

import typer
from rich.progress import Progress

from journey_service.api.operations.schemas.test_clock import TestClock
from journey_service.cli.jobs import run_or_wait
from journey_service.cli.terminal import (
    EXIT_FINDINGS,
    AsJson,
    CommandContext,
    CompanyId,
    DataDir,
    bar,
    cli_actor,
    print_error,
    print_json,
    print_line,
    with_database,
)
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.calendar import utc_text
from journey_service.domain.companies.errors import NoTestClockError
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.values import parse_instant
from journey_service.repositories.database import Database
from journey_service.services.companies.provisioning import get_company_context
from journey_service.services.operations.test_clock import ClockAdvance, advance

_DURATION = re.compile(r"(\d{1,6})([hdw])", re.ASCII)
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def clock(
    company: CompanyId,
    advance_to: Annotated[str | None, typer.Option(help="Advance the clock to this time (RFC 3339).")] = None,
    by: Annotated[
        str | None,
        typer.Option("--advance", help="Advance the clock by hours, days, or weeks: 12h, 30d, 2w."),
    ] = None,
    release: Annotated[
        bool, typer.Option("--release", help="Return the company to real time; this cannot be undone.")
    ] = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show a company's clock, or advance its test clock and run everything that becomes due."""

    async def show(context: CommandContext) -> CompanyContext:
        return await get_company_context(context.database, company)

    async def move(context: CommandContext) -> ClockAdvance:
        if [advance_to is not None, by is not None, release].count(True) > 1:
            raise InvalidInputError.at("--advance", "use only one of --advance, --advance-to, and --release")
        to = None if release else await _target(context.database, company, advance_to, by)
        with bar(is_shown=not as_json) as shown:
            return await _advance(context.database, company, to, shown)

    if advance_to is None and by is None and not release:
        _show(with_database(data_dir, show), as_json=as_json)
        return
    moved = with_database(data_dir, move)
    _print_result(moved, as_json=as_json)
    if moved.job.status == "failed":
        print_error(f"Job {moved.job.id} of company {company} failed: {moved.job.error}")
        raise typer.Exit(EXIT_FINDINGS)


async def _advance(database: Database, company: int, to: datetime | None, shown: Progress) -> ClockAdvance:
    line = shown.add_task("advancing", total=None)
    advanced = await advance(
        database,
        company,
        to,
        actor=cli_actor("clock"),
        timeout_seconds=None,
        on_progress=lambda job: shown.update(line, completed=job.done, total=job.total),
    )
    if advanced.job.finished_at is not None:
        return advanced
    job = await run_or_wait(database, company, advanced.job.id, shown)
    return replace(advanced, job=job)


async def _target(database: Database, company: int, advance_to: str | None, by: str | None) -> datetime:
    if by is None:
        return parse_instant(advance_to, "--advance-to")
    match = _DURATION.fullmatch(by)
    if match is None:
        raise InvalidInputError.at(
            "--advance", "must be a whole number of hours, days or weeks: 12h, 30d, 2w"
        )
    start = (await get_company_context(database, company)).company.clock_at
    if start is None:
        raise NoTestClockError(company)
    try:
        return start + int(match[1]) * _UNITS[match[2]]
    except OverflowError:
        raise InvalidInputError.at("--advance", "exceeds the supported date range") from None


def _show(context: CompanyContext, *, as_json: bool) -> None:
    company = context.company
    if as_json:
        clock_at = None if company.clock_at is None else utc_text(company.clock_at)
        print_json({"company_id": company.id, "test_clock": clock_at, "now": utc_text(context.now)})
        return
    kind = "runs in real time" if company.clock_at is None else "has a test clock"
    print_line(f"Company {company.id} {kind}: {utc_text(context.now)}")


def _print_result(advanced: ClockAdvance, *, as_json: bool) -> None:
    values = TestClock.of(advanced).model_dump(mode="json")
    if as_json:
        print_json(values)
        return
    print_line("  ".join(f"{name} {'-' if value is None else value}" for name, value in values.items()))
