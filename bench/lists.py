"""The customer list over HTTP: each sort, filter and search. `python bench/lists.py [N] [--runs R]`.

N customers (1,000,000 by default) of one company, written by SQL into an own PostgreSQL (default settings, fsync on)
in a temporary folder. Each request runs R times (20 by default) against the application without a network socket;
a request for a page in the middle of a list continues at a cursor. Prints the median and the 95th percentile, and the
mean processor time of service and database, which depends less on other work of the machine (Linux only).
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from application import VAULT_KEY, client_of
from results import record

from journey_service.api.dependencies import to_cursor
from journey_service.domain.access.actors import Actor
from journey_service.embedded import EmbeddedServers
from journey_service.repositories import migrations as migrating
from journey_service.repositories.database import Database
from journey_service.services.companies.provisioning import NewCompany, create_company

COMPANY = 1
WARM = 3
"""Number of warm-up runs that are not measured."""
BY = Actor("bench")
CUSTOMERS, AT_RISK = "/api/v1/customers", "/portal/customers/at-risk"
AIM_MS = 150
"""Aim of an answer at the 95th percentile."""

FIRST = [
    *(
        "Ada",
        "Ben",
        "Clara",
        "David",
        "Elif",
        "Finn",
        "Greta",
        "Hugo",
        "Ida",
        "Jürgen",
        "Karla",
        "Lukas",
        "Mia",
        "Noah",
    ),
    *(
        "Olga",
        "Paul",
        "Quentin",
        "Rosa",
        "Søren",
        "Tom",
        "Uwe",
        "Vera",
        "Walter",
        "Xenia",
        "Yusuf",
        "Zoë",
        "Anna",
    ),
    *(
        "Bernd",
        "Cem",
        "Dörte",
        "Emil",
        "Frieda",
        "Günther",
        "Hanna",
        "Ivan",
        "Jana",
        "Käthe",
        "Leon",
        "Maja",
        "Nils",
    ),
]
# One customer in a thousand has each of these surnames; 15,625 others are made of three syllables.
LAST = ["Müller", "Schmidt", "Łukasz", "Lovelace", "O'Neill", "Hübner"]
SYLLABLES = [
    *(
        "ber",
        "dor",
        "fel",
        "gar",
        "hal",
        "kir",
        "lem",
        "mar",
        "nau",
        "oster",
        "pfei",
        "rau",
        "sie",
        "thal",
        "ull",
    ),
    *("vog", "wen", "zim", "ach", "brun", "krau", "lind", "mül", "stein", "wald"),
]

FILL = {
    "customers": """
        INSERT INTO customers (company_id, customer_id, name, email, phone, consents)
        SELECT $1, n, CASE WHEN n % 20 > 0 THEN first || ' ' || last END,
          CASE WHEN n % 5 > 0 THEN lower(first) || '.' || n || '@customers.example' END,
          CASE WHEN n % 3 > 0 THEN '+49 ' || (30 + h % 900) || ' ' || (1000000 + (h * 7919) % 8999999) END,
          CASE WHEN h % 50 = 0 THEN '{"email": {"status": "withdrawn", "at": "2026-01-01T00:00:00Z", "source": "x"}}'
          WHEN h % 3 = 0 THEN '{"email": {"status": "granted", "at": "2026-01-01T00:00:00Z", "source": "x"}}'
          ELSE '{}' END::jsonb
        FROM (SELECT n, h, ($3::text[])[1 + h % 40] AS first,
            CASE WHEN h % 1009 < 6 THEN ($4::text[])[1 + h % 1009]
            ELSE initcap(($5::text[])[1 + (h / 7) % 25] || ($5::text[])[1 + (h / 175) % 25]
              || ($5::text[])[1 + (h / 4375) % 25]) END AS last
          FROM (SELECT n, abs(hashint8(n)::bigint) AS h FROM generate_series(1, $2::bigint) n) numbers) people
    """,
    "relationships": """
        INSERT INTO customer_relationships (company_id, customer_id, current_stage, stage_entered_at, version,
          lifetime_value, total_appointments, last_appointment_at, first_appointment_at, risk_score, engagement_score,
          scored_at, owner, pin_until)
        SELECT $1, n, stage, now() - make_interval(secs => h % 40000000), 1,
          CASE WHEN visits > 0 THEN visits * (20 + h % 100) + (h % 100) / 100.0 ELSE 0 END, visits,
          CASE WHEN visits > 0 THEN now() - make_interval(secs => CASE stage WHEN 'churned' THEN 16000000
            WHEN 'at_risk' THEN 8000000 ELSE 100 END + h % 7000000) END,
          CASE WHEN visits > 0 THEN now() - make_interval(secs => 40000000 + h % 7000000) END,
          CASE stage WHEN 'churned' THEN 0.6 + (h % 40) / 100.0 WHEN 'at_risk' THEN 0.5 + (h % 40) / 100.0
            ELSE (h % 45) / 100.0 END,
          CASE WHEN visits > 0 THEN (20 + h % 80) / 100.0 ELSE 0 END, now(),
          CASE WHEN other % 10 = 0 THEN 'agent' || other % 2000 END,
          CASE WHEN other % 500 = 1 THEN now() + interval '30 days' END
        FROM (SELECT n, h, stage, abs(hashint8(n + 991)::bigint) AS other,
            CASE stage WHEN 'prospect' THEN 0 WHEN 'lead' THEN 0 WHEN 'customer' THEN 1 + h % 3
            WHEN 'vip' THEN 10 + h % 40 ELSE 2 + h % 12 END AS visits
          FROM (SELECT n, h, CASE WHEN h % 100 < 25 THEN 'prospect' WHEN h % 100 < 35 THEN 'lead'
              WHEN h % 100 < 60 THEN 'customer' WHEN h % 100 < 75 THEN 'regular' WHEN h % 100 < 77 THEN 'vip'
              WHEN h % 100 < 85 THEN 'at_risk' ELSE 'churned' END AS stage
            FROM (SELECT n, abs(hashint8(n + 77)::bigint) AS h FROM generate_series(1, $2::bigint) n) a) b) c
    """,
}
SORTS = (
    "customer_id",
    "name",
    "lifetime_value",
    "risk_score",
    "engagement_score",
    "last_appointment_at",
    "stage_entered_at",
)
MIDDLE = {"risk_score": 30, "engagement_score": 50, "lifetime_value": 300_000, "name": "leon mar"}
STAGES = ("prospect", "lead", "customer", "regular", "vip", "at_risk", "churned")


SEARCHES = (
    *(
        "a",
        "mu",
        "qx",
        "mül",
        "muell",
        "müller",
        "jurgen",
        "Ada Lovelace",
        "lovelace ada",
        "stein",
        "zo",
        "z",
        "xyzq",
        "no such one",
    ),
    *("customers.example", "ada.4711@customers.example", "+49 30", "030 1234", "9999999999", "4711"),
)


@dataclass(frozen=True, slots=True)
class Request:
    """A measured request."""

    path: str
    parameters: list[tuple[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Result:
    """The status of a request, the seconds of each run, its mean processor time in seconds, and the rows of a page."""

    status: int
    seconds: list[float] = field(default_factory=list)
    busy: float = 0.0
    rows: int | None = None

    def at(self, share: float) -> float:
        """Returns a percentile in milliseconds."""
        return sorted(self.seconds)[min(len(self.seconds) - 1, int(len(self.seconds) * share))] * 1_000


PAGES = {
    "today": Request("/api/v1/today"),
    "tasks": Request("/api/v1/tasks"),
}
"""Requests of Today and of the rail, which shows whether the reports agree."""
BARE = {
    f"sort {sign}{key}": f"SELECT * FROM customer_relationships WHERE company_id = $1"  # noqa: S608  # names of columns
    f" ORDER BY {key} {direction}, customer_id {direction} LIMIT 51"
    for key in ("lifetime_value", "risk_score", "stage_entered_at")
    for sign, direction in (("", "ASC"), ("-", "DESC"))
}
"""The rows of a page, read with their best index: the lower bound of a request."""


def searches() -> dict[str, list[tuple[str, Any]]]:
    """Returns the measured searches of the customer list."""
    named: dict[str, list[tuple[str, Any]]] = {}
    for q in SEARCHES:
        named[f"q {q}"] = [("q", q)]
        for sort in ("name", "-name", "-risk_score", "last_appointment_at"):
            named[f"q {q}, sort {sort}"] = [("q", q), ("sort", sort)]
        named[f"q {q}, stage vip, sort -risk_score"] = [("q", q), ("stage", "vip"), ("sort", "-risk_score")]
        named[f"q {q}, stage churned, sort name"] = [("q", q), ("stage", "churned"), ("sort", "name")]
        named[f"count of q {q}"] = [("q", q), ("count", True)]
        named[f"count of q {q}, stage churned"] = [("q", q), ("stage", "churned"), ("count", True)]
    return named


def risk_requests() -> dict[str, list[tuple[str, Any]]]:
    """Returns the measured requests of the list of customers at risk, which is always counted."""
    named: dict[str, list[tuple[str, Any]]] = {}
    for key in ("risk_score", "days_inactive", "lifetime_value"):
        for sort in (f"-{key}", key):
            named[f"at risk, sort {sort}"] = [("sort", sort)]
    for q in ("xyzq", "müller", "jurgen", "stein", "customers.example", "4711"):
        named[f"at risk, q {q}"] = [("q", q)]
        named[f"at risk, q {q}, sort -lifetime_value"] = [("q", q), ("sort", "-lifetime_value")]
    named["at risk, owner"] = [("owner", "agent10")]
    named["at risk, days_min 150, sort -lifetime_value"] = [("days_min", 150), ("sort", "-lifetime_value")]
    named["at risk, value_min 1,000"] = [("value_min", 1_000)]
    return named


def requests(customers: int) -> dict[str, list[tuple[str, Any]]]:
    """Returns the measured requests of the customer list: their parameters by name."""
    named: dict[str, list[tuple[str, Any]]] = {}
    for key in SORTS:
        for sort in (key, f"-{key}"):
            named[f"sort {sort}"] = [("sort", sort)]
    for key, value in MIDDLE.items():
        cursor = to_cursor("customers", f"-{key}", value, customers // 2)
        named[f"sort -{key}, a page in the middle"] = [("sort", f"-{key}"), ("cursor", cursor)]
    for stage in ("prospect", "vip", "churned"):
        for key in SORTS[1:]:
            for sort in (key, f"-{key}"):
                named[f"stage {stage}, sort {sort}"] = [("stage", stage), ("sort", sort)]
    for key in ("name", "-risk_score", "last_appointment_at"):
        named[f"stages vip and at_risk, sort {key}"] = [("stage", "vip"), ("stage", "at_risk"), ("sort", key)]
    filters: Mapping[str, list[tuple[str, Any]]] = {
        "value_min 4,000": [("value_min", 4_000)],
        "value 100 to 101": [("value_min", 100), ("value_max", 101)],
        "owner": [("owner", "agent10")],
        "owner unknown": [("owner", "none")],
        "pinned": [("pinned", True)],
        "appointments_min 46": [("appointments_min", 46)],
        "appointments_min 99": [("appointments_min", 99)],
        "consent email withdrawn": [("consent_channel", "email"), ("consent_status", "withdrawn")],
        "risk 0.95 to 1": [("risk_min", 0.95)],
        "inactive_days_min 260": [("inactive_days_min", 260)],
    }
    for name, parameters in filters.items():
        named[name] = parameters
        named[f"{name}, sort -lifetime_value"] = [*parameters, ("sort", "-lifetime_value")]
        named[f"{name}, sort name"] = [*parameters, ("sort", "name")]
    named |= searches()
    named["q stein, stage vip, sort name"] = [("q", "stein"), ("stage", "vip"), ("sort", "name")]
    named["q a, owner"] = [("q", "a"), ("owner", "agent10")]
    named["q stein, value_min 4,000"] = [("q", "stein"), ("value_min", 4_000)]
    named["count of all"] = [("count", True)]
    named["count of stage vip"] = [("stage", "vip"), ("count", True)]
    named["200 ids"] = [("ids", number * 7 + 1) for number in range(200)] + [("limit", 200)]
    return named


async def fill(url: str, customers: int) -> None:
    """Writes the company and its customers."""
    database = Database(url, vault_key=VAULT_KEY)
    await create_company(database, NewCompany("bench", "UTC", "EUR", id=COMPANY), author=BY)
    await database.close()
    owner = await asyncpg.connect(url)
    began = time.perf_counter()
    await owner.execute("SET statement_timeout = 0")
    # Indexes made in one piece are written in a fraction of the time.
    indexes = await owner.fetch(
        "SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index"
        " WHERE indrelid IN ('customers'::regclass, 'customer_relationships'::regclass) AND NOT indisunique"
    )
    for index in indexes:
        await owner.execute(f"DROP INDEX {index['name']}")
    await owner.execute(FILL["customers"], COMPANY, customers, FIRST, LAST, SYLLABLES)
    await owner.execute(FILL["relationships"], COMPANY, customers)
    for index in indexes:
        await owner.execute(index["definition"])
    await owner.execute("UPDATE companies SET rollup_version = 1")  # its reports are not empty
    await owner.execute("VACUUM ANALYZE customers")
    await owner.execute("VACUUM ANALYZE customer_relationships")
    sizes = await owner.fetch(
        "SELECT relname, pg_size_pretty(pg_relation_size(oid)) FROM pg_class"
        " WHERE relname ~ '^(customers|customer_rel|ix_cust|idx_)'"
        " AND pg_relation_size(oid) > 4000000 ORDER BY pg_relation_size(oid) DESC"
    )
    print(f"{customers:,} customers written in {time.perf_counter() - began:.0f} s;", end=" ")
    print(", ".join(f"{row[0]} {row[1]}" for row in sizes))
    await owner.close()


async def processor_seconds(connection: asyncpg.Connection) -> float:
    """Returns the seconds of processor time of this process and of all connections to the database up to now."""
    pids = await connection.fetch("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'")
    ticks = sum(_ticks(row["pid"]) for row in pids)
    return ticks / os.sysconf("SC_CLK_TCK") + time.process_time()


def _ticks(pid: int) -> int:
    """Returns the clock ticks of a process, or 0 where the system does not tell."""
    stat = Path(f"/proc/{pid}/stat")
    fields = stat.read_text().rpartition(")")[2].split() if stat.exists() else ["0"] * 13
    return int(fields[11]) + int(fields[12])


async def _bare(owner: asyncpg.Connection, query: str, runs: int) -> list[float]:
    """Returns the seconds of each run of a query."""
    prepared = await owner.prepare(query)
    seconds = []
    for turn in range(WARM + runs):
        began = time.perf_counter()
        await prepared.fetch(COMPANY)
        if turn >= WARM:
            seconds.append(time.perf_counter() - began)
    return seconds


async def _requested(
    client: httpx.AsyncClient, owner: asyncpg.Connection, request: Request, runs: int
) -> Result:
    """Sends a request several times."""
    seconds: list[float] = []
    busy = 0.0
    for turn in range(WARM + runs):
        if turn == WARM:
            busy = await processor_seconds(owner)
        began = time.perf_counter()
        answer = await client.get(request.path, params=request.parameters)
        if turn >= WARM:
            seconds.append(time.perf_counter() - began)
        if answer.is_error:
            return Result(answer.status_code)
    busy = (await processor_seconds(owner) - busy) / runs
    items = answer.json().get("items")
    return Result(answer.status_code, seconds, busy, None if items is None else len(items))


async def measure(url: str, customers: int, runs: int, only: str) -> dict[str, dict[str, float | None]]:
    """Runs every request and prints its times; returns them by name, in milliseconds."""
    named = {
        **{name: Request(CUSTOMERS, each) for name, each in requests(customers).items()},
        **{name: Request(AT_RISK, each) for name, each in risk_requests().items()},
        **PAGES,
    }
    found: dict[str, dict[str, float | None]] = {}
    owner = await asyncpg.connect(url)
    async with client_of(url, COMPANY) as client:
        print(
            "| request | rows | p50 ms | p95 ms | processor ms | bare p50 ms |\n|---|---:|---:|---:|---:|---:|"
        )
        for name, request in named.items():
            if only not in name:
                continue
            result = await _requested(client, owner, request, runs)
            if not result.seconds:
                print(f"| {name} | status {result.status} | | | | |", flush=True)
                continue
            bare = BARE.get(name)
            alone = None if bare is None else statistics.median(await _bare(owner, bare, runs)) * 1_000
            found[name] = {"p50_ms": result.at(0.5), "p95_ms": result.at(0.95), "bare_p50_ms": alone}
            print(
                f"| {name} | {'' if result.rows is None else result.rows} | {result.at(0.5):.1f}"
                f" | {result.at(0.95):.1f} | {result.busy * 1_000:.0f}"
                f" | {'' if alone is None else f'{alone:.1f}'} |",
                flush=True,
            )
    await owner.close()
    over = {name: each["p95_ms"] for name, each in found.items() if (each["p95_ms"] or 0) > AIM_MS}
    print(f"{len(found)} requests, {len(over)} of them over {AIM_MS} ms at the 95th percentile")
    return found


def main() -> None:
    """Fills a database, then measures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("customers", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=20, help="measured runs of each request")
    parser.add_argument("--only", default="", help="measure requests with this text in their name only")
    parser.add_argument("--record", action="store_true", help="store the results in results.json")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="journey-bench-", ignore_cleanup_errors=True) as folder,
        EmbeddedServers(Path(folder), with_valkey=False) as servers,
    ):
        migrating.upgrade(servers.database_url)
        asyncio.run(fill(servers.database_url, arguments.customers))
        found = asyncio.run(
            measure(servers.database_url, arguments.customers, arguments.runs, arguments.only)
        )
    if arguments.record:
        record("lists", {"customers": arguments.customers, "requests": found})


if __name__ == "__main__":
    main()
