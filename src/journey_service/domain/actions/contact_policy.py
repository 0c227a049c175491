"""Contact policy: whether a message may be sent to a customer now, by consent, address, frequency cap and quiet hours.

`ActionPlan` applies these rules to due actions; the preview of a stage map applies them to planned messages.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum
from typing import Final, NamedTuple

from journey_service.domain.actions.stage_actions import (
    DEFAULT_ACTIONS,
    MESSAGES,
    ActionStep,
    Channel,
    StageAction,
    StepKey,
)
from journey_service.domain.calendar import instant_of
from journey_service.domain.companies.policy import EMAIL_ADDRESS, CompanyPolicy
from journey_service.domain.journeys.facts import Times

PAUSED_RETRY_INTERVAL: Final = timedelta(minutes=15)
"""Delay after which a message of a company with paused messages is decided again."""
_ENTRY: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""An arbitrary entry time: only the time between planned messages matters."""


class ContactDecision(StrEnum):
    """Decision on a message: sent, or the reason why it is not."""

    SENT = "sent"
    NO_CONSENT = "no_consent"
    NO_ADDRESS = "no_address"
    CAPPED = "capped"


class Reachability(NamedTuple):
    """Consent of a customer by channel, and whether an email address and a phone number are known."""

    consents: Mapping[str, str]
    has_email: bool
    has_phone: bool

    def contact_decision(self, channel: Channel, policy: CompanyPolicy) -> ContactDecision:
        """Returns the decision on a message on a channel, before the frequency cap."""
        status = self.consents.get(channel, "unknown")
        if status == "withdrawn" or (status != "granted" and policy.consent == "opt_in"):
            return ContactDecision.NO_CONSENT
        if channel is Channel.EMAIL and not self.has_email:
            return ContactDecision.NO_ADDRESS
        if channel in (Channel.SMS, Channel.CALL) and not self.has_phone:
            return ContactDecision.NO_ADDRESS
        return ContactDecision.SENT


class ContactState(NamedTuple):
    """What decides on a message to a customer, apart from quiet hours.

    `sent` is the number of messages that count under the frequency cap, by channel. `pending_requests` are the
    channels of manual actions that are still to be carried out. `open_bookings` are those of the customer's facts.
    """

    reachability: Reachability
    sent: Mapping[str, int]
    is_erased: bool
    has_open_call: bool
    pending_requests: frozenset[str]
    open_bookings: Times = ()

    def contact_decision(self, channel: Channel, policy: CompanyPolicy) -> ContactDecision:
        """Returns the decision on a message on a channel, as it is taken when the message is due."""
        if self.is_erased:
            return ContactDecision.NO_ADDRESS
        decision = self.reachability.contact_decision(channel, policy)
        if decision is ContactDecision.SENT and self.sent.get(channel, 0) >= policy.frequency_cap:
            return ContactDecision.CAPPED
        return decision

    def reach(self, policy: CompanyPolicy) -> dict[Channel, ContactDecision]:
        """Returns the decision on a message that would be due now, for each channel of messages."""
        return {channel: self.contact_decision(channel, policy) for channel in MESSAGES}

    def has_open_request(self, channel: Channel) -> bool:
        """Returns whether a call task is open, or a manual action of the channel is still to be carried out."""
        return (channel is Channel.CALL and self.has_open_call) or channel.value in self.pending_requests


UNREACHABLE: Final = Reachability({}, has_email=False, has_phone=False)
"""Reachability of a customer without a profile."""


def account_manager_email(owner: str | None, policy: CompanyPolicy) -> str | None:
    """Returns where notices about a customer go: to the owner if that is an email address, else to the company's.

    None if the owner is no email address and the company has set none.
    """
    if owner is not None and EMAIL_ADDRESS.fullmatch(owner.strip()):
        return owner.strip()
    return policy.account_manager_email


def capped_since(now: datetime, policy: CompanyPolicy) -> datetime:
    """Returns the time after which messages count under the frequency cap at `now`."""
    return now - timedelta(days=policy.frequency_cap_days)


def is_capped(sent: Iterable[datetime], now: datetime, policy: CompanyPolicy) -> bool:
    """Returns whether the messages sent on a channel reach the frequency cap at `now`."""
    since = capped_since(now, policy)
    return sum(since < at for at in sent) >= policy.frequency_cap


def deferred_until(now: datetime, policy: CompanyPolicy, zone: tzinfo) -> datetime | None:
    """Returns until when quiet hours or paused messages defer a message; None if it may be sent now."""
    end = quiet_until(now, policy, zone)
    return now + PAUSED_RETRY_INTERVAL if end is None and policy.messages_paused else end


def quiet_until(now: datetime, policy: CompanyPolicy, zone: tzinfo) -> datetime | None:
    """Returns the end of the quiet hours that `now` lies in; None outside of quiet hours."""
    if policy.quiet_from is None or policy.quiet_until is None:
        return None
    start, end = time.fromisoformat(policy.quiet_from), time.fromisoformat(policy.quiet_until)
    today = now.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        begins = instant_of(day, start, zone)
        ends = instant_of(day if start < end else day + timedelta(days=1), end, zone)
        if begins <= now < ends:
            return ends
    return None


def planned_messages(
    entered: Iterable[str],
    reachability: Reachability,
    policy: CompanyPolicy,
    actions: Mapping[str, Sequence[StageAction]] = DEFAULT_ACTIONS,
    without: Collection[StepKey] = (),
) -> Iterator[tuple[Channel, ContactDecision]]:
    """Yields the messages triggered by simultaneous entry into stages, by due time, with their decisions.

    Steps in `without` are left out. Assumes that the customer stays in the last stage, and that earlier messages do not
    count under the frequency cap.
    """
    steps = [
        step
        for key in entered
        for action in actions.get(key, ())
        for number, step in enumerate(action.steps)
        if step.channel in MESSAGES and (key, action.name, number) not in without
    ]
    sent: dict[Channel, list[datetime]] = {}
    for step in sorted(steps, key=_due_at):
        decision = reachability.contact_decision(step.channel, policy)
        if decision is ContactDecision.SENT:
            before = sent.setdefault(step.channel, [])
            if is_capped(before, _due_at(step), policy):
                decision = ContactDecision.CAPPED
            else:
                before.append(_due_at(step))
        yield step.channel, decision


def _due_at(step: ActionStep) -> datetime:
    """Returns when a step is due if its stage is entered at `_ENTRY`."""
    return _ENTRY + timedelta(days=step.day, hours=step.hours)
