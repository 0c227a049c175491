"""Sweep and rescore against a bare UPDATE, the guide's loop, and online traffic: `python bench/timekeeping.py [N ...]`.

N relationships (100,000 and 1,000,000 by default) in one company, of which 1,000 are due at a time, but at most a
hundredth. Starts its own PostgreSQL (default settings, fsync on) in a temporary folder. Each value is the median of
five alternating runs; compare ratios. The guide's loop scores the first 1,000 customers only, so compare times for one
customer. Online traffic is measured with up to 100,000 relationships.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
from crowd import make_crowd
from guide_scores import GuideScores, insert_visits
from results import record

from journey_service.domain.access.actors import Actor
from journey_service.domain.events.event import Event
from journey_service.embedded import EmbeddedServers
from journey_service.repositories import migrations as migrating
from journey_service.repositories.database import Database
from journey_service.services.companies.provisioning import NewCompany, create_company
from journey_service.services.events.ingest import ingest
from journey_service.services.job_registry import JOB_HANDLERS
from journey_service.services.jobs import get_job, run_job
from journey_service.services.journeys.rescoring import queue_rescore
from journey_service.services.journeys.sweep import Sweeper

COMPANY = 1
T0 = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)
SIZES = (100_000, 1_000_000)
TURNS = 5
DUE = 1_000
BY_GUIDE = 1_000
"""Customers that the guide's loop scores."""
SENDERS = 8
ONLINE_SECONDS = 4.0
PACE_SECONDS = SENDERS / 200
"""Seconds between two events of one sender; all senders together send 200 events per second."""


class Bench:
    """One company with a test clock, and the measured operations."""

    def __init__(
        self, database: Database, owner: asyncpg.Connection, watch: asyncpg.Connection, customers: int
    ) -> None:
        self.database = database
        self.owner = owner
        self.watch = watch
        self.customers = customers
        self.parts = max(100, customers // DUE)
        self.at = T0
        self.turn = 0
        self.counts: dict[str, int] = {}

    async def make_due(self) -> None:
        """Makes other customers due: their last visit was 91 days ago."""
        await self.owner.execute(
            "UPDATE customer_relationships SET next_evaluation_at = $1::timestamptz,"
            " last_appointment_at = $1::timestamptz - interval '91 days',"
            " recent_completed = ARRAY[$1::timestamptz - interval '91 days'] WHERE customer_id % $3 = $2",
            self.at,
            self.turn,
            self.parts,
        )
        await self.owner.execute("CHECKPOINT")
        self.turn += 1

    async def a_day_passes(self) -> None:
        """Advances the clock by a day without due customers, so that scores change as in a nightly run."""
        self.at += DAY
        await self.owner.execute("UPDATE companies SET clock_at = $1", self.at)

    async def sweep(self) -> None:
        """Evaluates due customers."""
        self.counts["swept"] = (await Sweeper(self.database).sweep()).evaluated

    async def rescore(self) -> None:
        """Rescores all customers."""
        job_id = await queue_rescore(self.database, COMPANY, actor=Actor("bench"))
        await run_job(self.database, COMPANY, job_id, JOB_HANDLERS)
        job = await get_job(self.database, COMPANY, job_id)
        self.counts.update(scored=job.counts["scored"], changed=job.counts["changed"])

    async def bare_update(self) -> None:
        """Runs the lower bound of a rescore: an UPDATE of every customer. All scores are wrong afterwards."""
        await self.owner.execute(
            "UPDATE customer_relationships SET risk_score = 0.99, engagement_score = (random() * 100)::int / 100.0,"
            " scored_at = timestamptz '2000-01-01'"
        )

    async def guide(self) -> None:
        """Scores the first customers as the guide prints it."""
        self.counts["by_guide"] = await GuideScores(self.owner, COMPANY, self.at).update(BY_GUIDE)

    async def online(self, seconds: float) -> tuple[list[float], list[float]]:
        """Returns the seconds of each event at 200 per second, and the seconds of waits for locks."""
        taken: list[float] = []
        waits: list[float] = []
        end = time.perf_counter() + seconds
        numbers = iter(range(10**9))
        name = time.perf_counter_ns()

        async def teller() -> None:
            while (began := time.perf_counter()) < end:
                number = next(numbers)
                customer_id = 1 + number * 7_919 % self.customers
                event = Event("bench", f"{name}-{number}", customer_id, "payment_received", self.at, 100)
                await ingest(self.database, COMPANY, [event])
                taken.append(time.perf_counter() - began)
                await asyncio.sleep(max(0.0, PACE_SECONDS - taken[-1]))

        async def watcher() -> None:
            while time.perf_counter() < end:
                found = await self.watch.fetchval(
                    "SELECT max(extract(epoch FROM clock_timestamp() - waitstart)) FROM pg_locks WHERE NOT granted"
                )
                waits.append(float(found or 0))
                await asyncio.sleep(0.005)

        await asyncio.gather(watcher(), *(teller() for _ in range(SENDERS)))
        return sorted(taken), waits


async def _timed(act: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await act()
    return time.perf_counter() - began


async def _measure(url: str, customers: int, online_seconds: float) -> dict[str, float]:
    owner = await asyncpg.connect(url)
    await owner.execute("SET statement_timeout = 0")
    database = Database(url, pool_size=12, pool_timeout=30)
    new = NewCompany(id=COMPANY, name="bench", timezone="UTC", currency="EUR", test_clock=T0)
    await create_company(database, new, author=Actor("bench"))
    await make_crowd(owner, COMPANY, customers, T0)
    await insert_visits(owner, COMPANY, BY_GUIDE)
    watch = await asyncpg.connect(url)
    bench = Bench(database, owner, watch, customers)
    await bench.rescore()  # from the made scores to the true ones

    seconds: dict[str, list[float]] = {name: [] for name in ("sweep", "night", "update", "all", "guide")}
    for _ in range(TURNS):
        await bench.a_day_passes()
        await bench.make_due()
        seconds["sweep"].append(await _timed(bench.sweep))
        await owner.execute("VACUUM customer_relationships")
        seconds["night"].append(await _timed(bench.rescore))
        aged = bench.counts["changed"]
        await owner.execute("VACUUM customer_relationships")
        seconds["update"].append(await _timed(bench.bare_update))
        await owner.execute("VACUUM customer_relationships")
        seconds["all"].append(await _timed(bench.rescore))
        assert bench.counts["changed"] == customers, bench.counts
        seconds["guide"].append(await _timed(bench.guide))
        await bench.rescore()  # the guide's scores are others
        await owner.execute("VACUUM customer_relationships")
    middle = {name: statistics.median(found) for name, found in seconds.items()}
    by_guide = middle["guide"] / bench.counts["by_guide"]

    print(f"{customers} relationships, medians of {TURNS}")
    print(f"sweep of {bench.counts['swept']} due               {middle['sweep']:8.3f} s")
    print(f"rescore after a day ({aged} changed)   {middle['night']:8.3f} s")
    print(f"rescore, all changed               {middle['all']:8.3f} s")
    print(f"bare UPDATE of both scores, all    {middle['update']:8.3f} s")
    print(f"guide's loop, one customer         {by_guide * 1_000:8.3f} ms")
    ratios = {
        "sweep / rescore": middle["sweep"] / middle["all"],
        "rescore after a day / UPDATE": middle["night"] / middle["update"],
        "rescore / UPDATE": middle["all"] / middle["update"],
        "guide / rescore": by_guide / (middle["all"] / customers),
    }
    if customers <= SIZES[0]:
        ratios |= await _beside(bench, online_seconds)
    for name, ratio in ratios.items():
        print(f"{name:34} {ratio:8.3f}")
    await database.close()
    await watch.close()
    await owner.close()
    return {**{f"{name}_s": round(found, 3) for name, found in middle.items()}, **ratios}


async def _beside(bench: Bench, seconds: float) -> dict[str, float]:
    """Measures 200 events per second alone and during repeated rescoring, in turns; returns the ratio of the p99."""

    async def rescoring(end: float) -> int:
        runs = 0
        while time.perf_counter() < end:
            await bench.a_day_passes()
            await bench.rescore()
            runs += 1
        return runs

    alone, beside, waits = [], [], []
    for _ in range(TURNS):
        taken, _ = await bench.online(seconds)
        alone.append(taken)
        end = time.perf_counter() + seconds
        _, (taken, waited) = await asyncio.gather(rescoring(end), bench.online(seconds))
        beside.append(taken)
        waits += waited
    deadlocks = await bench.owner.fetchval(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    for name, turns in (("online alone", alone), ("next to rescores", beside)):
        rate = sum(map(len, turns)) / TURNS / seconds
        print(f"{name:17} {rate:6.0f}/s  p50 {_ms(turns, 0.5):.1f} ms  p99 {_ms(turns, 0.99):.1f} ms")
    print(f"{deadlocks} deadlocks, longest wait for a lock seen {max(waits) * 1_000:.0f} ms")
    return {"p99 next to rescores / alone": _ms(beside, 0.99) / _ms(alone, 0.99)}


def _ms(turns: list[list[float]], share: float) -> float:
    """Returns the median of the turns of a percentile, in milliseconds."""
    return statistics.median(taken[int(len(taken) * share)] for taken in turns) * 1_000


def main() -> None:
    """Measures each size and prints the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("customers", nargs="*", type=int, default=SIZES)
    parser.add_argument(
        "--seconds", type=float, default=ONLINE_SECONDS, help="length of a run of online traffic"
    )
    parser.add_argument("--record", action="store_true", help="store the results in results.json")
    chosen = parser.parse_args()
    found = {}
    for customers in chosen.customers:
        with (
            tempfile.TemporaryDirectory() as folder,
            EmbeddedServers(Path(folder) / "data", with_valkey=False) as servers,
        ):
            migrating.upgrade(servers.database_url)
            found[str(customers)] = asyncio.run(_measure(servers.database_url, customers, chosen.seconds))
    if chosen.record:
        record("timekeeping", found)


if __name__ == "__main__":
    main()
