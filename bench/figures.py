"""Reports over HTTP compared with DuckDB on the same rows in memory. `python bench/figures.py [N ...]`.

N customers (100,000 and 1,000,000 by default) with about ten moves each in one company. Reports: overview, funnel,
flows, time in stage and risk list, for the last 30 days and (some) for a year. Each report runs TURNS times,
alternating between the service (the application without a network socket) and a DuckDB query that computes the same
from rows. Starts its own PostgreSQL (default settings, fsync on) in a temporary folder. Compare ratios, and the two
sizes.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import duckdb
from application import VAULT_KEY, client_of
from results import record

from journey_service.domain.access.actors import Actor
from journey_service.embedded import EmbeddedServers
from journey_service.repositories import migrations as migrating
from journey_service.repositories.database import Database
from journey_service.services.analytics.rollups import enqueue_rollup_rebuild
from journey_service.services.analytics.snapshots import take_page
from journey_service.services.companies.provisioning import NewCompany, create_company
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import run_job
from ledger import make_ledger

COMPANY = 1
SIZES = (100_000, 1_000_000)
TURNS = 40
WARM = 3
"""Number of warm-up runs that are not measured."""
ROUNDED = 0.0501
"""Maximum difference between a rounded metric with one decimal and its exact value."""
BY = Actor("bench")

YEAR = ", a year"
ASKED = {
    "overview": "/api/v1/analytics/overview",
    "funnel": "/api/v1/analytics/funnel",
    "flows": "/api/v1/analytics/transitions",
    "time in stage": "/api/v1/analytics/time-in-stage",
    "risk list": "/api/v1/analytics/churn-predictions",
    "funnel, a year": "/api/v1/analytics/funnel?period=year",
    "flows, a year": "/api/v1/analytics/transitions?period=year",
    "time in stage, a year": "/api/v1/analytics/time-in-stage?period=year",
}
COPIED = {
    "moves": "SELECT relationship_id, from_stage, to_stage, motion, transitioned_at, since FROM journey_transitions"
    " ORDER BY transitioned_at",
    "customers": "SELECT id, current_stage, lifetime_value, risk_score, stage_entered_at FROM customer_relationships",
}
_RANKS = "(VALUES ('prospect', 0), ('lead', 1), ('customer', 2), ('regular', 3), ('vip', 4)) w(stage, rank)"
QUERIES = {
    "overview": "SELECT (SELECT list((current_stage, n)) FROM (SELECT current_stage, count(*) n FROM customers"
    " GROUP BY 1)), (SELECT list((motion, n)) FROM (SELECT motion, count(*) n FROM moves"
    " WHERE transitioned_at >= $first GROUP BY 1)),"
    " (SELECT sum(lifetime_value) FROM customers)",
    "funnel": "SELECT rank, sum(count(*)) OVER (ORDER BY rank DESC) FROM (SELECT relationship_id, max(rank) rank"  # noqa: S608  # no input in it
    f" FROM moves JOIN {_RANKS} ON stage = to_stage WHERE transitioned_at >= $first AND motion IN ('opening', 'entry')"
    " GROUP BY 1) GROUP BY 1 ORDER BY 1",
    "flows": "SELECT from_stage, to_stage, count(*), count(DISTINCT relationship_id) FROM moves"
    " WHERE transitioned_at >= $first AND from_stage IS NOT NULL GROUP BY 1, 2",
    "time in stage": "SELECT from_stage, count(*), avg(stay), quantile_cont(stay, [0.5, 0.9]) FROM (SELECT from_stage,"
    " epoch_us(transitioned_at) - epoch_us(since) stay FROM moves"
    " WHERE transitioned_at >= $first AND from_stage IS NOT NULL) GROUP BY 1",
    "risk list": "SELECT * FROM customers WHERE risk_score > 0.7 AND current_stage <> 'churned'"
    " ORDER BY risk_score DESC, id DESC LIMIT 51",
}


def _load(duck: duckdb.DuckDBPyConnection, folder: Path) -> None:
    duck.execute(f"CREATE TABLE moves AS FROM read_csv('{folder / 'moves.csv'}', nullstr='')")
    duck.execute(f"CREATE TABLE customers AS FROM read_csv('{folder / 'customers.csv'}')")


async def _prepare(url: str, customers: int, now: datetime, folder: Path) -> None:
    owner = await asyncpg.connect(url)
    await owner.execute("SET statement_timeout = 0")
    database = Database(url, vault_key=VAULT_KEY)
    await create_company(database, NewCompany("bench", "UTC", "EUR", id=COMPANY), author=BY)
    await make_ledger(owner, COMPANY, customers, now)

    began = time.perf_counter()
    job_id = await database.run(COMPANY, lambda work: enqueue_rollup_rebuild(work, actor=BY))
    await run_job(database, COMPANY, job_id, JOB_HANDLERS)
    print(f"  all rollups rebuilt from the ledger in {time.perf_counter() - began:.1f} s")
    began = time.perf_counter()
    while not (await database.run(COMPANY, take_page, timeout_ms=600_000))[1]:
        pass
    print(f"  snapshots of all days taken in {time.perf_counter() - began:.1f} s")
    await owner.execute("VACUUM ANALYZE")
    for name, query in COPIED.items():
        await owner.copy_from_query(query, output=folder / f"{name}.csv", format="csv", header=True)
    await database.close()
    await owner.close()


async def _measure(url: str, customers: int, folder: Path) -> dict[str, Any]:
    now = datetime.fromtimestamp(time.time(), UTC)
    await _prepare(url, customers, now, folder)
    duck = duckdb.connect()
    _load(duck, folder)
    moves = duck.execute("SELECT count(*) FROM moves").fetchone()
    seconds: dict[tuple[str, str], list[float]] = {}
    midnight = datetime.combine(now.date(), datetime.min.time(), tzinfo=UTC)
    async with client_of(url, COMPANY) as client:
        for turn in range(TURNS + WARM):
            for name, path in ASKED.items():
                query = QUERIES[name.removesuffix(YEAR)]
                days = 365 if name.endswith(YEAR) else 30
                first = {"first": midnight - timedelta(days=days - 1)} if "$first" in query else {}
                began = time.perf_counter()
                answer = await client.get(path)
                between = time.perf_counter()
                rows = duck.execute(query, first).fetchall()
                end = time.perf_counter()
                answer.raise_for_status()
                if turn == 0:
                    _check(name.removesuffix(YEAR), answer.json(), rows)
                if turn >= WARM:
                    seconds.setdefault((name, "service"), []).append(between - began)
                    seconds.setdefault((name, "duckdb"), []).append(end - between)
    duck.close()
    return {
        "customers": customers,
        "moves": moves[0] if moves else 0,
        "figures": {name: _told(seconds[name, "service"], seconds[name, "duckdb"]) for name in ASKED},
    }


def _check(name: str, values: Mapping[str, Any], rows: list[Any]) -> None:
    """Checks that both return the same results."""
    if name == "funnel":
        assert [step["customers"] for step in values["items"]] == [int(row[1]) for row in rows], (
            values,
            rows,
        )
    elif name == "flows":
        assert {
            (way["from_stage"], way["to_stage"], way["moves"], way["customers"]) for way in values["items"]
        } == set(rows), (values, rows)
    elif name == "time in stage":
        ended = {row[0]: row for row in rows}
        for stage in values["items"]:
            _, visits, mean, (median, p90) = ended[stage["stage_key"]]
            assert stage["visits"] == visits
            for days, micros in zip(
                (stage["avg_days"], stage["median_days"], stage["p90_days"]), (mean, median, p90), strict=True
            ):
                assert abs(days - micros / 86_400e6) <= ROUNDED, (stage, ended)


def _told(service: list[float], duck: list[float]) -> dict[str, float]:
    return {
        "p50_ms": round(statistics.median(service) * 1_000, 1),
        "p95_ms": round(sorted(service)[int(len(service) * 0.95)] * 1_000, 1),
        "duckdb_p50_ms": round(statistics.median(duck) * 1_000, 1),
        "duckdb_p95_ms": round(sorted(duck)[int(len(duck) * 0.95)] * 1_000, 1),
        "ratio": round(statistics.median(service) / statistics.median(duck), 2),
    }


def main() -> None:
    """Measures, prints and stores the results of each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("customers", nargs="*", type=int, default=SIZES)
    parser.add_argument("--record", action="store_true", help="keep the figures in bench/results.json")
    asked = parser.parse_args()
    found = []
    for customers in asked.customers:
        print(f"{customers:,} customers")
        with (
            tempfile.TemporaryDirectory() as folder,
            EmbeddedServers(Path(folder) / "data", with_valkey=False) as servers,
        ):
            migrating.upgrade(servers.database_url)
            found.append(asyncio.run(_measure(servers.database_url, customers, Path(folder))))
        print(json.dumps(found[-1], indent=2))
    if asked.record:
        record("figures", found)


if __name__ == "__main__":
    main()
