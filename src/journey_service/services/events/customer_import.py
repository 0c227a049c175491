"""Import of customers: one page of staged lines, whose fields and consents are written to the profiles."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from journey_service.domain.customers.records import ConsentChange
from journey_service.domain.events.customer_lines import CustomerLine
from journey_service.domain.events.event import EARLIEST
from journey_service.domain.events.records import ImportCursor, ImportLineError, ImportRecord
from journey_service.repositories.customers.profiles import CustomerProfile
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.customers.profiles import changed_consents, consent_of
from journey_service.services.journeys.transaction import JourneyTransaction, load, write

CUSTOMERS_BATCH_SIZE: Final = 1_000
WITHDRAWN: Final = "was withdrawn, and an import does not change that; the rest of the line was applied"
"""Message of a consent that would lift a withdrawal."""
_FIELDS: Final = ("name", "email", "phone", "language")


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

    @property
    def cursor(self) -> ImportCursor | None:
        """The position of the last line of the page, or of the import if the page is empty."""
        return cursor_after(self.lines[-1]) if self.lines else self.import_.cursor

    async def replay(self, uow: UnitOfWork) -> None:
        """Opens journeys of new customers, changes profiles, and writes everything."""
        customers = sorted({line.customer_id for line in self.lines})
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
        consents: Mapping[str, Mapping[str, str]] = profile["consents"]
        accepted = {}
        for channel, status in line.consents.items():
            if consents.get(channel, {}).get("status") == "withdrawn" and status != "withdrawn":
                error = ImportLineError(
                    line.number, f"/consents/{channel}", WITHDRAWN, customer_id, line.cells
                )
                self._errors.append(error)
            else:
                accepted[channel] = status
        changes = changed_consents(consents, accepted, transaction.now, self.import_.actor)
        changed = {name: value for name, value in line.fields.items() if profile[name] != value}
        if not is_new and not changes and not changed:
            self.counts["duplicates"] += 1
            return
        profile |= changed
        profile["consents"] = {**consents, **{each.channel: consent_of(each) for each in changes}}
        self._consents.setdefault(customer_id, []).extend(changes)
        self._changed.add(customer_id)
        self.counts["applied"] += 1


def _values(stored: CustomerProfile | None) -> dict[str, Any]:
    if stored is None:
        return {**dict.fromkeys(_FIELDS), "consents": {}}
    return {**{name: getattr(stored, name) for name in _FIELDS}, "consents": stored.consents}
