"""Route of a customer's events."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter

from journey_service.api.authentication import CustomerReader
from journey_service.api.dependencies import (
    AnyCustomerId,
    AppStateDep,
    Cursor,
    Limit,
    from_cursor,
    is_instant,
    is_text,
    next_cursor,
    repeatable,
)
from journey_service.api.events.schemas.customer_events import Booking, CustomerEvent, CustomerEventPage
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.events.event import EventType
from journey_service.services.events import customer_events

router = APIRouter(tags=["events"], route_class=StrictRoute)


@router.get(
    "/customers/{customer_id}/events",
    summary="List a customer's events",
    responses=problems(CustomerNotFoundError),
)
async def list_customer_events(
    customer_id: AnyCustomerId,
    caller: CustomerReader,
    app_state: AppStateDep,
    types: Annotated[
        list[EventType] | None, repeatable("Only events of this type", examples=[["appointment_completed"]])
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> CustomerEventPage:
    """Lists the stored events of a customer, newest first, and the bookings that they name.

    The events of an erased customer are listed under the customer's negative id, without their metadata.
    """
    key = from_cursor("customer_events", cursor, is_instant, is_text, is_text)
    found = await customer_events.list_customer_events(
        app_state.database,
        caller.company_id,
        customer_id,
        types=None if types is None else [type_.value for type_ in types],
        before=None if key is None else (datetime.fromisoformat(key[0]), key[1], key[2]),
        limit=limit + 1,
    )
    return CustomerEventPage(
        items=[CustomerEvent.of(record, found.currency) for record in found.events[:limit]],
        bookings=[Booking.of(booking) for booking in found.bookings],
        next_cursor=next_cursor(
            "customer_events",
            found.events,
            limit,
            lambda row: [row.occurred_at.isoformat(), row.source, row.event_id],
        ),
    )
