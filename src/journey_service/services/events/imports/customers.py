"""Import of customers: one page of staged lines, whose fields and consents are written to the profiles."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.customers.consents import (
    ConsentRequest,
    StoredConsents,
    decide_consents,
    with_changes,
    withdraw_by_link,
)
from journey_service.domain.customers.records import ConsentChange
from journey_service.domain.events.event import EARLIEST
from journey_service.domain.events.files.customer_lines import CustomerLine
from journey_service.domain.events.records import ImportCursor, ImportLineError, ImportRecord
from journey_service.repositories.customers.profiles import CustomerProfile
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.customers.profiles import normalize_fields
from journey_service.services.journeys.transaction import JourneyTransaction, load, write

CUSTOMERS_BATCH_SIZE: Final = 1_000
WITHDRAWN: Final = "was withdrawn, and an import does not change that; the rest of the line was applied"
"""Message of a consent that would lift a withdrawal."""
_FIELDS: Final = ("name", "first_name", "email", "phone", "phone_digits", "language")


async def load_customer_lines(
    uow: UnitOfWork, import_id: int, cursor: ImportCursor | None
) -> list[CustomerLine]:
    """Loads the lines after the cursor, in order of customer and line."""
    return await uow.imports.list_customer_lines(import_id, cursor, limit=CUSTOMERS_BATCH_SIZE)


async def load_customer_page(uow: UnitOfWork, import_: ImportRecord) -> "CustomerPage":
    """Loads the next page of an import of customers."""
    return CustomerPage(import_, await load_customer_lines(uow, import_.id, import_.cursor))


def cursor_after(line: CustomerLine) -> ImportCursor:
    """Returns the position of a line of customers."""
    return ImportCursor(line.customer_id, EARLIEST, "", "", line.number)


@dataclass(slots=True)
class CustomerPage:
    """The lines of one page, and the counts of what was applied. Later lines of a customer win."""

    import_: ImportRecord
    lines: list[CustomerLine]
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(("done", "applied", "duplicates", "erased", "transitions"), 0)
    )
    _profiles: dict[int, dict[str, Any]] = field(default_factory=dict)
    _changed: set[int] = field(default_factory=set)
    _consents: dict[int, list[ConsentChange]] = field(default_factory=dict)
    _errors: list[ImportLineError] = field(default_factory=list)
    _withdrawals: dict[str, datetime] = field(default_factory=dict)

    @property
    def cursor(self) -> ImportCursor | None:
        """The position of the last line of the page, or of the import if the page is empty."""
        return cursor_after(self.lines[-1]) if self.lines else self.import_.cursor

    async def replay(self, uow: UnitOfWork) -> None:
        """Opens journeys of new customers, changes profiles, and writes everything."""
        customers = sorted({line.customer_id for line in self.lines})
        emails = {email for line in self.lines if (email := line.fields.get("email")) is not None}
        await uow.mailboxes.lock_many(emails)
        self._withdrawals = await uow.mailboxes.find_withdrawals(emails)
        transaction = await load(uow, customers)
        stored = await uow.customers.get_many(customers)
        for line in self.lines:
            if line.customer_id in transaction.erased:
                self.counts["erased"] += 1
            else:
                self._apply_line(transaction, line, stored.get(line.customer_id))
        self.counts["done"] = len(self.lines)
        self.counts["transitions"] = sum(
            len(journey.new_transitions) for journey in transaction.journeys.values()
        )
        if transaction.journeys:
            await uow.customers.insert_missing(list(transaction.journeys))
        await uow.customers.update_many({id_: self._profiles[id_] for id_ in sorted(self._changed)})
        await uow.consents.insert(self._consents)
        if transaction.journeys:
            await write(uow, transaction, runs_actions=self.import_.runs_actions, is_import=True)
        await uow.imports.insert_errors(self.import_.id, self._errors)

    def _apply_line(
        self, transaction: JourneyTransaction, line: CustomerLine, stored: CustomerProfile | None
    ) -> None:
        customer_id = line.customer_id
        is_new = customer_id not in transaction.relationships and customer_id not in transaction.journeys
        if is_new:
            transaction.open(customer_id, transaction.now).schedule_first_evaluation(transaction.now)
        profile = self._profiles.setdefault(customer_id, _values(stored))
        stored_consents: StoredConsents = profile["consents"]
        changes = self._mailbox_changes(stored_consents, line)
        consents = with_changes(stored_consents, changes)
        accepted = self._accepted(consents, line)
        changes += decide_consents(consents, accepted, transaction.now, self.import_.actor).changes
        fields, _ = normalize_fields(line.fields, transaction.context.company.timezone)
        changed = {name: value for name, value in fields.items() if profile[name] != value}
        if not is_new and not changes and not changed:
            self.counts["duplicates"] += 1
            return
        profile |= changed
        profile["consents"] = with_changes(stored_consents, changes)
        self._consents.setdefault(customer_id, []).extend(changes)
        self._changed.add(customer_id)
        self.counts["applied"] += 1

    def _mailbox_changes(self, consents: StoredConsents, line: CustomerLine) -> list[ConsentChange]:
        at = self._withdrawals.get(line.fields.get("email", ""))
        return [] if at is None else withdraw_by_link(consents, Channel.EMAIL.value, at)

    def _accepted(self, consents: StoredConsents, line: CustomerLine) -> dict[str, ConsentRequest]:
        """Returns the consents of a line that an import may change: it lifts no withdrawal."""
        accepted = {}
        for channel, status in line.consents.items():
            if consents.get(channel, {}).get("status") == "withdrawn" and status != "withdrawn":
                self._errors.append(
                    ImportLineError(
                        line.number, f"/consents/{channel}", WITHDRAWN, line.customer_id, line.cells
                    )
                )
            else:
                accepted[channel] = ConsentRequest(status)
        return accepted


def _values(stored: CustomerProfile | None) -> dict[str, Any]:
    if stored is None:
        return {**dict.fromkeys(_FIELDS), "consents": {}}
    return {**{name: getattr(stored, name) for name in _FIELDS}, "consents": stored.consents}
