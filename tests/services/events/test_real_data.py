"""Real data: every imported journey and metric equals that of a slow oracle."""

import asyncio
import csv
import gzip
import multiprocessing
import os
import re
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from pathlib import Path

import pytest

from journey_service.domain.access.actors import Actor
from journey_service.domain.analytics.date_ranges import RequestedRange
from journey_service.domain.events.content_keys import content_key, numbered_id
from journey_service.domain.events.event import Event
from journey_service.domain.events.records import ImportOptions
from journey_service.services.analytics import funnels
from journey_service.services.analytics import time_in_stage as visits
from journey_service.services.events.imports.imports import get_import, run_import, stage_import
from journey_service.services.events.ingest import ingest
from journey_service.services.journeys import manual_changes
from journey_service.services.operations.reconciliation import reconcile
from ledger import find_violations, journeys, rows
from oracle.literal import JourneyOracle, LiteralEvent, import_operations
from oracle.metrics import MetricsOracle, percentile, tenths
from real_files import is_sampled, sampled
from services.oracle_rows import literal

pytestmark = pytest.mark.big

DAY = timedelta(days=1)
ENDS = {
    "cdnow": datetime(1998, 7, 1, tzinfo=UTC),
    "online_retail": datetime(2011, 12, 10, tzinfo=UTC),
    "hair_salon": datetime(2018, 7, 30, tzinfo=UTC),
    "noshow_appointments": datetime(2016, 6, 9, tzinfo=UTC),
}
LATER = (0, 100, 200)
LARGE = ("cdnow", "noshow_appointments", "online_retail")
"""Files of which a quick run imports some customers, and their first lines again for each later day."""
TABLE = Path(__file__).parents[3] / "docs" / "real-data.md"


async def _import(database, company_id: int, file: Path, until: datetime):
    async def chunks() -> AsyncIterator[bytes]:
        with file.open("rb") as stream:
            while chunk := stream.read(65_536):
                yield chunk

    queued = await stage_import(
        database, company_id, chunks(), actor=Actor("tests"), is_gzip=True, options=ImportOptions(until)
    )
    assert await run_import(database, company_id, queued.id)
    return await get_import(database, company_id, queued.id)


def _lines(file: Path) -> list[tuple[int, int, LiteralEvent]]:
    """Returns (customer, line, event) of a file, in order of customer."""
    with gzip.open(file, "rt") as stream:
        read = [
            (
                int(row["customer_id"]),
                number,
                LiteralEvent(
                    row["event_type"],
                    datetime.fromisoformat(row["occurred_at"]).replace(tzinfo=UTC),
                    Decimal(row["amount"]),
                ),
            )
            for number, row in enumerate(csv.DictReader(stream), start=2)
        ]
    return sorted(read, key=lambda line: line[:2])


def _literal(file: Path, until: datetime) -> tuple[dict, dict]:
    """Returns every customer's transitions and scores by the oracle."""
    company = JourneyOracle()
    moves, scores = {}, {}
    for customer_id, lines in groupby(_lines(file), key=lambda line: line[0]):
        events = [(number, event) for _, number, event in lines]
        journey = company.run(import_operations(events, until), until)
        moves[customer_id] = [
            (m.seq, m.from_stage, m.to_stage, m.at, m.trigger_type, m.trigger_event)
            for m in journey.transitions
        ]
        scores[customer_id] = (
            int(journey.engagement * 100),
            int(journey.risk * 100),
            journey.lifetime_value,
            journey.total_appointments,
            journey.last_appointment_at,
        )
    return moves, scores


def _first_lines(file: Path, folder: Path) -> Path:
    """Writes a file of each customer's first line: imported again, it advances every journey to a later day."""
    with gzip.open(file, "rt") as stream:
        header, *lines = stream.readlines()
    column = header.split(",").index("customer_id")
    first: dict[str, str] = {}
    for line in lines:
        first.setdefault(line.split(",")[column], line)
    short = folder / file.name
    short.write_bytes(gzip.compress("".join([header, *first.values()]).encode()))
    return short


def _prefix(moves: dict, until: datetime) -> dict:
    """Returns the transitions up to an instant; no event is later than the period, so these were known then."""
    return {customer: [move for move in made if move[3] <= until] for customer, made in moves.items()}


def _table(name: str, stages: list) -> list[str]:
    days = [f"{ENDS[name] + days * DAY:%Y-%m-%d}" for days in LATER]
    keys = ["prospect", "lead", "customer", "regular", "vip", "at_risk", "churned"]
    lines = [f"| {name}: customers in | {' | '.join(days)} |", "|---|---:|---:|---:|"]
    return lines + [f"| {key} | {' | '.join(str(counted[key]) for counted in stages)} |" for key in keys]


def _cell(value: object) -> str:
    return "none" if value is None else str(value)


async def _reports(database, company_id: int, name: str, oracle: MetricsOracle) -> list[str]:
    """Returns funnel, flows and time in stage over the whole period as tables; asserts that they equal the oracle's."""
    first, last = min(oracle.day(move.at) for move in oracle.moves), (ENDS[name] + LATER[-1] * DAY).date()
    requested = RequestedRange(None, first, last)
    funnel = await funnels.get_funnel(database, company_id, requested)
    expected, returned = oracle.reached(first, last), oracle.returned(first, last)
    assert [(step.customers, step.returned) for step in funnel.steps] == [
        (len(customers), returned[stage.key])
        for customers, stage in zip(expected, oracle.progress, strict=True)
    ]
    lines = [
        f"| {name}: reached, {first} to {last} | customers | % of the first | % to the next | returned |"
    ]
    lines += ["|---|---:|---:|---:|---:|"] + [
        f"| {step.stage.key} | {step.customers} | {step.percentage} | {step.conversion_rate} | {step.returned} |"
        for step in funnel.steps
    ]
    flows = (await funnels.get_flows(database, company_id, requested)).flows
    assert {(flow.from_stage, flow.to_stage): (flow.moves, flow.customers) for flow in flows} == {
        stages: (customers.total(), len(customers)) for stages, customers in oracle.flows(first, last).items()
    }
    lines += ["", f"| {name}: flows | moves | customers |", "|---|---:|---:|"]
    lines += [f"| {flow.from_stage} → {flow.to_stage} | {flow.moves} | {flow.customers} |" for flow in flows]
    times, ended = (
        (await visits.get_time_in_stage(database, company_id, requested)).stages,
        oracle.ended(first, last),
    )
    lines += ["", f"| {name}: days in | visits | mean | median | p90 |", "|---|---:|---:|---:|---:|"]
    for each in times:
        days = oracle.days(ended[each.stage.key])
        mean = tenths(sum(days, Fraction(0)) / len(days)) if days else None
        median, p90 = (tenths(percentile(days, Fraction(*of))) if days else None for of in ((1, 2), (9, 10)))
        measures = (each.avg_days, each.median_days, each.p90_days)
        assert (each.visits, *(None if one is None else float(one) for one in measures)) == (
            len(days),
            mean,
            median,
            p90,
        )
        lines.append(f"| {each.stage.key} | {each.visits} | {' | '.join(_cell(one) for one in measures)} |")
    return lines


@pytest.mark.parametrize("name", list(ENDS))
async def test_imported_journeys_equal_the_oracle_s_at_the_end_and_100_and_200_days_later(
    name, data, database, create_test_company, tmp_path
):
    tenant = await create_test_company(name=name)
    is_sample = name in LARGE and is_sampled()
    file = data / f"{name}.csv.gz"
    file = sampled(file, tmp_path) if is_sample else file
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        expected = asyncio.get_running_loop().run_in_executor(
            executor, _literal, file, ENDS[name] + LATER[-1] * DAY
        )
        stages, imported = [], {}
        again = _first_lines(file, tmp_path) if is_sample else file
        for days in LATER:
            until = ENDS[name] + days * DAY
            done = await _import(database, tenant.id, file if days == 0 else again, until)
            assert (done.status, done.failed_lines, done.late, done.later) == ("done", 0, 0, 0)
            assert (done.applied if days == 0 else done.duplicates) == done.staged
            imported[days] = await journeys(database, tenant.id)
            counted = await rows(
                database,
                tenant.id,
                "SELECT current_stage, count(*) FROM customer_relationships WHERE company_id = :company GROUP BY 1",
            )
            stages.append(Counter(dict(counted)))
        moves, scores = await expected
    for days in LATER:
        assert imported[days] == _prefix(moves, ENDS[name] + days * DAY)
    stored = await rows(
        database,
        tenant.id,
        "SELECT customer_id, CAST(engagement_score * 100 AS int), CAST(risk_score * 100 AS int), lifetime_value,"
        " total_appointments, last_appointment_at FROM customer_relationships WHERE company_id = :company",
    )
    assert {row[0]: tuple(row[1:]) for row in stored} == scores
    assert await find_violations(database, tenant.id) == []
    oracle = await literal(database, tenant.id)
    reports = await _reports(database, tenant.id, name, oracle)
    if not is_sample:
        _check_table(name, "\n".join([*_table(name, stages), "", *reports]))
    reconciliation = await reconcile(database, tenant.id)
    assert reconciliation.agrees, reconciliation.differences[:5]


def _check_table(name: str, table: str) -> None:
    begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
    written = TABLE.read_text(encoding="utf-8")
    if os.environ.get("UPDATE_DOCS"):
        pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
        TABLE.write_text(pattern.sub(lambda _: begin + table + end, written), encoding="utf-8")
        return
    assert begin + table + end in written, f"docs/real-data.md differs from the results:\n{table}"


@pytest.mark.parametrize("name", ["hair_salon"])
async def test_events_ingested_live_write_the_same_journeys_as_the_import(
    name, data, database, create_test_company, tmp_path
):
    imported, live = await create_test_company(), await create_test_company()
    file, until = sampled(data / f"{name}.csv.gz", tmp_path), ENDS[name] + 200 * DAY
    await _import(database, imported.id, file, until)

    lines = sorted(_lines(file), key=lambda line: (line[2].occurred_at, line[1]))
    for customer_id, _, line in lines:
        event = Event("import", "", customer_id, line.type, line.occurred_at, int(line.amount * 100))
        key = content_key(event, line.occurred_at.replace(tzinfo=None).isoformat())
        event = event._replace(event_id=numbered_id(key, 1))
        await ingest(database, live.id, [event], now=line.occurred_at)
    for customer_id in {customer_id for customer_id, _, _ in lines}:
        await manual_changes.evaluate(database, live.id, customer_id, by=Actor("tests"), now=until)

    sql = (
        "SELECT r.customer_id, t.seq, t.from_stage, t.to_stage, t.transitioned_at, t.trigger_type, t.trigger_event,"
        " t.cause_kind, t.cause_id, CAST(t.reasons AS text), r.version, r.current_stage, r.next_evaluation_at,"
        " r.risk_score, r.engagement_score, r.stages_held, r.lifetime_value FROM journey_transitions t"
        " JOIN customer_relationships r ON r.company_id = t.company_id AND r.id = t.relationship_id"
        " WHERE t.company_id = :company ORDER BY 1, 2"
    )
    assert [tuple(row) for row in await rows(database, live.id, sql)] == [
        tuple(row) for row in await rows(database, imported.id, sql)
    ]


def test_the_comparison_detects_a_transition_a_day_late(data):
    moves, _ = _literal(data / "hair_salon.csv.gz", ENDS["hair_salon"])
    customer, made = next((customer, made) for customer, made in moves.items() if len(made) > 1)
    late = {**moves, customer: [(*made[0][:3], made[0][3] + DAY, *made[0][4:]), *made[1:]]}
    assert _prefix(late, ENDS["hair_salon"]) != _prefix(moves, ENDS["hair_salon"])
