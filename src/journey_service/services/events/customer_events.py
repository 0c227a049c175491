"""Reads of one customer's events and bookings."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from journey_service.domain.companies.currencies import Currency
from journey_service.domain.events.bookings import Booking, find_bookings
from journey_service.domain.events.counting import counted_events
from journey_service.domain.events.records import EventRecord
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.journeys.reading import load_view


@dataclass(frozen=True, slots=True)
class CustomerEvents:
    """A page of a customer's events, and all bookings that the customer's events name."""

    events: Sequence[EventRecord]
    bookings: Sequence[Booking]
    currency: Currency


async def list_customer_events(
    database: Database,
    company_id: int,
    customer_id: int,
    *,
    types: Sequence[str] | None,
    before: tuple[datetime, str, str] | None,
    limit: int,
) -> CustomerEvents:
    """Returns a customer's events before (occurred_at, source, event id), newest first, and the bookings as of now.

    Raises CustomerNotFoundError.
    """

    async def unit(uow: UnitOfWork) -> CustomerEvents:
        view = await load_view(uow, customer_id)
        events = await uow.events.page(view.stored.id, types=types, before=before, limit=limit)
        named = await uow.events.list_of_bookings(view.stored.id, customer_id)
        bookings = find_bookings(counted_events(named), view.context.now)
        return CustomerEvents(events, bookings, view.context.rulebook.policy.currency)

    return await database.run(company_id, unit)
