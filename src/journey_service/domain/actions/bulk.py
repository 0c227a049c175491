"""Bulk actions: the fate of one manual action requested for many customers."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from journey_service.domain.actions.contact_policy import ContactDecision, ContactState
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.journeys.booking_pause import next_booking


class BulkFate(StrEnum):
    """What a bulk action does for a customer.

    Only OK carries the action out. NO_CONSENT, NO_ADDRESS and CAPPED store a cancelled action, as a single request
    does; HAS_BOOKING, ALREADY_OPEN and ERASED store nothing.
    """

    OK = "ok"
    NO_CONSENT = "no_consent"
    NO_ADDRESS = "no_address"
    CAPPED = "capped"
    HAS_BOOKING = "has_booking"
    ALREADY_OPEN = "already_open"
    ERASED = "erased"


_FATES: Final = {
    ContactDecision.SENT: BulkFate.OK,
    ContactDecision.NO_CONSENT: BulkFate.NO_CONSENT,
    ContactDecision.NO_ADDRESS: BulkFate.NO_ADDRESS,
    ContactDecision.CAPPED: BulkFate.CAPPED,
}


def fate_of(
    state: ContactState, channel: Channel, policy: CompanyPolicy, now: datetime, *, includes_booked: bool
) -> BulkFate:
    """Returns the fate of a bulk action on a channel for a customer in a contact state.

    Customers with an open booking are left out unless `includes_booked`.
    """
    obstacle = find_obstacle(state, channel, now, includes_booked=includes_booked)
    return obstacle or _FATES[state.contact_decision(channel, policy)]


def find_obstacle(
    state: ContactState, channel: Channel, now: datetime, *, includes_booked: bool
) -> BulkFate | None:
    """Returns why no action is stored for a customer; None if one is."""
    if state.is_erased:
        return BulkFate.ERASED
    if not includes_booked and next_booking(state.open_bookings, now) is not None:
        return BulkFate.HAS_BOOKING
    return BulkFate.ALREADY_OPEN if state.has_open_request(channel) else None
