"""Bulk actions: the fate of one manual action requested for many customers."""

from enum import StrEnum
from typing import Final

from journey_service.domain.actions.contact_policy import ContactDecision, ContactState
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.companies.policy import CompanyPolicy


class BulkFate(StrEnum):
    """What a bulk action does for a customer.

    Only OK carries the action out. NO_CONSENT, NO_ADDRESS and CAPPED store a cancelled action, as a single request
    does; ALREADY_OPEN and ERASED store nothing.
    """

    OK = "ok"
    NO_CONSENT = "no_consent"
    NO_ADDRESS = "no_address"
    CAPPED = "capped"
    ALREADY_OPEN = "already_open"
    ERASED = "erased"


_FATES: Final = {
    ContactDecision.SENT: BulkFate.OK,
    ContactDecision.NO_CONSENT: BulkFate.NO_CONSENT,
    ContactDecision.NO_ADDRESS: BulkFate.NO_ADDRESS,
    ContactDecision.CAPPED: BulkFate.CAPPED,
}


def fate_of(state: ContactState, channel: Channel, policy: CompanyPolicy) -> BulkFate:
    """Returns the fate of a bulk action on a channel for a customer in a contact state."""
    if state.is_erased:
        return BulkFate.ERASED
    if state.has_open_request(channel):
        return BulkFate.ALREADY_OPEN
    return _FATES[state.contact_decision(channel, policy)]
