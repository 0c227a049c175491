"""Import of customers: one page of staged lines, whose fields and consents are written to the profiles."""

from dataclasses import dataclass, field
from typing import Final

from journey_service.domain.customers.attributes import MAX_ATTRIBUTES
from journey_service.domain.events.event import EARLIEST
from journey_service.domain.events.files.customer_lines import CustomerLine
from journey_service.domain.events.records import ImportCursor, ImportLineError, ImportRecord
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.customers.profile_batch import ProfileBatch, lock_mailboxes
from journey_service.services.events.imports.numbering import resolve_staged
from journey_service.services.journeys.transaction import JourneyTransaction, load, wake_waiting, write

CUSTOMERS_BATCH_SIZE: Final = 1_000
WITHDRAWN: Final = "was withdrawn, and an import does not change that; the rest of the line was applied"
"""Message of a consent that would lift a withdrawal."""
TOO_MANY: Final = f"would be more than {MAX_ATTRIBUTES} for the customer; the rest of the line was applied"
"""Message of attributes that are too many together with the stored ones."""


async def load_customer_lines(
    uow: UnitOfWork, import_id: int, cursor: ImportCursor | None
) -> list[CustomerLine]:
    """Loads the lines after the cursor, in order of customer and line."""
    return await uow.import_lines.list_customers(import_id, cursor, limit=CUSTOMERS_BATCH_SIZE)


async def load_customer_page(uow: UnitOfWork, import_: ImportRecord) -> "AppliedCustomerLines":
    """Loads the next page of an import of customers."""
    return AppliedCustomerLines(import_, await load_customer_lines(uow, import_.id, import_.cursor))


def cursor_after(line: CustomerLine) -> ImportCursor:
    """Returns the position of a line of customers."""
    return ImportCursor(line.customer_id, EARLIEST, "", "", line.number)


@dataclass(slots=True)
class AppliedCustomerLines:
    """The lines of one page, and the counts of what was applied. Later lines of a customer win."""

    import_: ImportRecord
    lines: list[CustomerLine]
    counts: dict[str, int] = field(
        default_factory=lambda: dict.fromkeys(
            ("done", "applied", "duplicates", "erased", "transitions", "failed"), 0
        )
    )
    _errors: list[ImportLineError] = field(default_factory=list)

    @property
    def cursor(self) -> ImportCursor | None:
        """The position of the last line of the page, or of the import if the page is empty."""
        return cursor_after(self.lines[-1]) if self.lines else self.import_.cursor

    async def replay(self, uow: UnitOfWork) -> None:
        """Opens journeys of new customers, changes profiles, and writes everything."""
        refs = await resolve_staged(uow, [(line.customer_id, line.customer_ref) for line in self.lines])
        lines = [
            line if line.customer_ref is None else line._replace(customer_id=refs.ids[line.customer_ref])
            for line in self.lines
        ]
        customers = sorted({line.customer_id for line in lines})
        withdrawals = await lock_mailboxes(uow, [line.update for line in lines])
        transaction = await load(uow, customers, refs=refs.new)
        stored = await uow.customers.get_many(sorted({transaction.resolve(id_) for id_ in customers}))
        profiles = ProfileBatch(stored, withdrawals, transaction.context.company.timezone)
        for line in lines:
            if line.customer_id in transaction.erased:
                self.counts["erased"] += 1
            else:
                self._apply_line(transaction, profiles, line)
        self.counts["done"] = len(self.lines)
        self.counts["transitions"] = sum(
            len(journey.new_transitions) for journey in transaction.journeys.values()
        )
        if transaction.journeys:
            await uow.customers.insert_missing(list(transaction.journeys), transaction.new_refs)
        await profiles.write(uow)
        await wake_waiting(uow, transaction, profiles.changed)
        if transaction.journeys:
            await write(uow, transaction, runs_actions=self.import_.runs_actions, is_import=True)
        await uow.imports.insert_errors(self.import_.id, self._errors)

    def _apply_line(
        self, transaction: JourneyTransaction, profiles: ProfileBatch, line: CustomerLine
    ) -> None:
        error = transaction.reserved_error(line.customer_id)
        if error is not None:
            self._add_error(line, "/customer_id", error.errors[0].message)
            self.counts["failed"] += 1
            return
        customer_id = transaction.resolve(line.customer_id)
        is_new = customer_id not in transaction.relationships and customer_id not in transaction.journeys
        if is_new:
            transaction.open(customer_id, transaction.now).schedule_first_evaluation(transaction.now)
        change = profiles.apply(customer_id, line.update, transaction.now, self.import_.actor)
        for channel in change.kept_withdrawals:
            self._add_error(line, f"/consents/{channel}", WITHDRAWN)
        if change.has_too_many_attributes:
            self._add_error(line, "/attributes", TOO_MANY)
        self.counts["applied" if is_new or change.is_changed else "duplicates"] += 1

    def _add_error(self, line: CustomerLine, pointer: str, message: str) -> None:
        self._errors.append(ImportLineError(line.number, pointer, message, line.customer_id, line.cells))
