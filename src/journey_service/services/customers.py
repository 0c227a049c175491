"""Customers: told about, read, listed. A customer who is told about has a journey."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from journey_service.domain.errors import CustomerNotFoundError
from journey_service.domain.events import EARLIEST
from journey_service.repositories.customers import Profile
from journey_service.repositories.database import Database
from journey_service.repositories.roster import Listed, Wanted
from journey_service.repositories.unit_of_work import Work
from journey_service.services.desk import View, load, view, write


@dataclass(frozen=True, slots=True)
class Customer:
    """A profile and where the customer stands."""

    profile: Profile
    view: View


async def put_customer(  # a profile has these parts
    database: Database,
    company_id: int,
    customer_id: int,
    profile: Mapping[str, str | None],
    *,
    consents: Mapping[str, str],
    source: str,
    now: datetime | None = None,
) -> tuple[Customer, bool]:
    """Write a profile and start the journey if there is none; returns the customer, and whether it is new.

    `consents` maps channels to their status; a changed one is noted with its time and `source`, the others
    stay as they are. Saying the same again changes nothing.
    """

    async def unit(work: Work) -> tuple[Customer, bool]:
        docket = await load(work, [customer_id], now=now)
        known = await work.customers.find(customer_id)
        kept = dict(known.consents) if known is not None else {}
        for channel, status in consents.items():
            if kept.get(channel, {}).get("status", "unknown") != status:
                kept[channel] = {"status": status, "at": docket.now.isoformat(), "source": source}
        is_new = await work.customers.put(customer_id, {**profile, "consents": kept})
        if customer_id not in docket.standings:
            docket.open(customer_id, docket.now).settle(docket.now)
            await write(work, docket)
        written = await work.customers.find(customer_id)
        assert written is not None  # noqa: S101  # it was just written
        return Customer(written, docket.view(customer_id)), is_new

    return await database.run(company_id, unit)


async def get_customer(database: Database, company_id: int, customer_id: int) -> Customer:
    """One customer. Raises CustomerNotFoundError."""

    async def unit(work: Work) -> Customer:
        desk = await work.companies.desk()
        profile = await work.customers.find(customer_id)
        standing = await work.relationships.find(customer_id)
        if profile is None or standing is None:
            raise CustomerNotFoundError(customer_id)
        return Customer(profile, view(desk, standing, desk.now))

    return await database.run(company_id, unit)


async def list_customers(
    database: Database, company_id: int, wanted: Wanted
) -> tuple[Sequence[Customer], Sequence[Listed]]:
    """A page of customers with their stored scores, and the rows that the next page is continued from."""

    async def unit(work: Work) -> tuple[Sequence[Customer], Sequence[Listed]]:
        desk = await work.companies.desk()
        listed = await work.roster.page(wanted, desk.now)
        customers = []
        for row in listed:
            standing = row.standing
            # What was not written since the last complete scoring has been found to hold then.
            as_of = max(standing.scored_at or desk.now, desk.company.scored_at or EARLIEST)
            stored = View(desk, standing, as_of, standing.engagement or 0, standing.risk or 0)
            customers.append(Customer(row.profile, stored))
        return customers, listed

    return await database.run(company_id, unit)
