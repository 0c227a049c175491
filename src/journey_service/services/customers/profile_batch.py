"""Changes of several profiles in one transaction: what events and files say of customers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.customers.attributes import AttributeChanges, AttributeValue, are_same
from journey_service.domain.customers.consents import (
    ConsentRequest,
    StoredConsents,
    decide_consents,
    with_changes,
    withdraw_by_link,
)
from journey_service.domain.customers.records import ConsentChange
from journey_service.domain.customers.updates import ProfileUpdate, newer_fields, with_times
from journey_service.domain.errors import InvalidInputError
from journey_service.domain.events.values import parse_instant
from journey_service.repositories.customers.profiles import StoredProfile
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.customers.profiles import normalize_fields

_FIELDS: Final = ("name", "first_name", "email", "phone", "phone_digits", "language")


async def lock_mailboxes(uow: UnitOfWork, updates: Iterable[ProfileUpdate]) -> Mapping[str, datetime]:
    """Locks the mailboxes that updates name, before customers are locked; returns when they withdrew consent."""
    emails = {email for update in updates if (email := update.fields.get("email")) is not None}
    await uow.mailboxes.lock_many(emails)
    return await uow.mailboxes.find_withdrawals(emails)


class AppliedUpdate(NamedTuple):
    """Whether an update changed what is known of the customer, and what of it was left out.

    `kept_withdrawals` are the channels whose withdrawal it would have lifted.
    """

    is_changed: bool
    kept_withdrawals: Sequence[str]
    has_too_many_attributes: bool


@dataclass(slots=True)
class ProfileBatch:
    """The profiles of one transaction, changed in memory.

    `withdrawals` are when mailboxes withdrew consent to emails, `timezone` is the company's.
    """

    stored: Mapping[int, StoredProfile]
    withdrawals: Mapping[str, datetime]
    timezone: str
    _profiles: dict[int, dict[str, Any]] = field(default_factory=dict)
    changed: set[int] = field(default_factory=set)
    """Customers whose profiles are to be written."""
    _consents: dict[int, list[ConsentChange]] = field(default_factory=dict)

    def apply(self, customer_id: int, update: ProfileUpdate, at: datetime, source: str) -> AppliedUpdate:
        """Applies an update as of an instant; fields and consents that were changed later stay as they are.

        Attributes are merged by name.
        """
        profile = self._profiles.setdefault(customer_id, _values(self.stored.get(customer_id)))
        fields = newer_fields(update.fields, profile["field_times"], at)
        consents: StoredConsents = profile["consents"]
        changes = self._mailbox_changes(consents, fields)
        accepted, refused = _accepted(with_changes(consents, changes), update.consents, at)
        changes += decide_consents(with_changes(consents, changes), accepted, at, source).changes
        values, _ = normalize_fields(fields, self.timezone)
        changed: dict[str, Any] = {name: value for name, value in values.items() if profile[name] != value}
        attributes = _merged(profile["attributes"], update.attributes)
        if attributes is not None and not are_same(attributes, profile["attributes"]):
            changed["attributes"] = attributes
        profile |= changed
        profile["field_times"] = with_times(profile["field_times"], fields, at)
        profile["consents"] = with_changes(consents, changes)
        if fields or changes or changed:
            self._consents.setdefault(customer_id, []).extend(changes)
            self.changed.add(customer_id)
        return AppliedUpdate(bool(changed or changes), refused, has_too_many_attributes=attributes is None)

    async def write(self, uow: UnitOfWork) -> None:
        """Writes the changed profiles, which exist, and the changes of consents."""
        await uow.customers.update_many({id_: self._profiles[id_] for id_ in sorted(self.changed)})
        await uow.consents.insert(self._consents)

    def _mailbox_changes(self, consents: StoredConsents, fields: Mapping[str, str]) -> list[ConsentChange]:
        at = self.withdrawals.get(fields.get("email", ""))
        return [] if at is None else withdraw_by_link(consents, Channel.EMAIL.value, at)


def _accepted(
    consents: StoredConsents, requested: Mapping[str, str], at: datetime
) -> tuple[dict[str, ConsentRequest], list[str]]:
    """Returns the consents that may change, and the channels whose withdrawal would be lifted."""
    accepted, refused = {}, []
    for channel, status in requested.items():
        before = consents.get(channel, {})
        if before.get("status") == "withdrawn" and status != "withdrawn":
            refused.append(channel)
        elif "at" not in before or parse_instant(before["at"], "") <= at:
            accepted[channel] = ConsentRequest(status)
    return accepted, refused


def _merged(
    stored: Mapping[str, AttributeValue], named: Mapping[str, AttributeValue]
) -> Mapping[str, AttributeValue] | None:
    """Returns the attributes with the named ones; None if they would be too many."""
    try:
        return AttributeChanges(named).applied_to(stored)
    except InvalidInputError:
        return None


def _values(stored: StoredProfile | None) -> dict[str, Any]:
    if stored is None:
        return {**dict.fromkeys(_FIELDS), "field_times": {}, "attributes": {}, "consents": {}}
    return {name: getattr(stored, name) for name in (*_FIELDS, "field_times", "attributes", "consents")}
