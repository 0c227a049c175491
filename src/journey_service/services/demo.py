"""A believable salon to look at: seeded, replayed through the engine like any other history."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final

import orjson

from journey_service.domain.errors import CompanyExistsError
from journey_service.repositories.database import Database
from journey_service.services.companies import NewCompany, found_company
from journey_service.services.credentials import EVERYTHING, install_key
from journey_service.services.imports import read_history, run_import

DEMO_COMPANY: Final = 1
_SEED: Final = 20_240_601
_CUSTOMERS: Final = 300
_YEARS: Final = 2
_NEW = NewCompany(id=DEMO_COMPANY, name="Salon Lumière", timezone="Europe/Berlin", currency="EUR")


async def open_demo(database: Database, *, now: datetime) -> bool:
    """Found the demo company with two years of history up to `now`; False if it is there already."""
    try:
        await found_company(database, _NEW, author="demo")
    except CompanyExistsError:
        return False

    async def chunks() -> AsyncIterator[bytes]:
        for line in history(Random(_SEED), now):  # noqa: S311  # a seeded story, no secret
            yield line

    found = await read_history(database, DEMO_COMPANY, chunks(), actor="demo")
    await run_import(database, DEMO_COMPANY, found.id)
    return True


async def hand_out_key(database: Database, *, pepper: str) -> str:
    """Make a fresh key for the demo company; the one handed out before ends."""
    return await install_key(database, DEMO_COMPANY, key_id="demo", scopes=[EVERYTHING], pepper=pepper)


def history(random: Random, now: datetime) -> Iterator[bytes]:
    """Two years of a salon as NDJSON, by customer: calls, visits in a rhythm, no-shows, lapses, returns."""
    start = now - timedelta(days=365 * _YEARS)
    for customer_id in range(1, _CUSTOMERS + 1):
        at = start + timedelta(days=random.uniform(0, 365 * _YEARS - 10), hours=random.uniform(0, 8))
        if random.random() < 0.7:  # noqa: PLR2004
            yield _line(customer_id, "call_received", at, call_duration=int(random.lognormvariate(4.4, 0.7)))
        if random.random() < 0.2:  # noqa: PLR2004
            continue  # asked, and never came
        rhythm = random.choice((21, 28, 28, 35, 42, 60, 90))
        price = random.choice((29, 39, 49, 65, 95, 140))
        stays = random.expovariate(1 / 10)
        visits = 0
        at += timedelta(days=random.uniform(1, 14))
        while at < now and visits < stays:
            if random.random() < 0.08:  # noqa: PLR2004
                yield _line(customer_id, "appointment_missed", at)
            else:
                amount = round(price * random.uniform(0.8, 1.6), 2)
                yield _line(customer_id, "appointment_completed", at, total_amount=amount)
                visits += 1
            if random.random() < 0.03:  # noqa: PLR2004
                yield _line(customer_id, "ticket_opened", at + timedelta(days=1))
            pause = random.choice((110, 200)) if random.random() < 0.04 else 0  # noqa: PLR2004
            season = 0.8 if at.month in (11, 12, 5, 6) else 1.1
            at += timedelta(days=rhythm * season * random.uniform(0.7, 1.4) + pause)


def _line(customer_id: int, type_: str, at: datetime, **data: float) -> bytes:
    written = {
        "customer_id": customer_id,
        "type": type_,
        "occurred_at": at.astimezone(UTC).replace(microsecond=0).isoformat(),
        "data": data,
    }
    return orjson.dumps(written) + b"\n"
