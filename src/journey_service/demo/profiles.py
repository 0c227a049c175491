"""Writing of demo profiles."""

from collections.abc import Sequence
from datetime import datetime

from journey_service.demo.people import DemoPerson
from journey_service.domain.customers.consents import ConsentRequest, decide_consents, with_changes
from journey_service.domain.customers.records import ConsentChange
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.customers.profiles import mailbox_changes, normalize_fields
from journey_service.services.journeys.transaction import load, write


async def write_profiles(
    uow: UnitOfWork, people: Sequence[tuple[datetime, DemoPerson]], *, now: datetime | None = None
) -> None:
    """Writes a batch of profiles; consent is dated at the first contact.

    Customers without events so far get a journey that starts at the first contact. `now` defaults to the company's
    time.
    """
    transaction = await load(uow, [person.customer_id for _, person in people], now=now)
    stored = await uow.customers.get_many([person.customer_id for _, person in people])
    changes: dict[int, list[ConsentChange]] = {}
    for met_at, person in people:
        known = stored.get(person.customer_id)
        consents_before = {} if known is None else dict(known.consents)
        requested = {channel: ConsentRequest(status) for channel, status in person.consents.items()}
        decided = decide_consents(consents_before, requested, met_at, "reception").changes
        changes[person.customer_id] = [*await mailbox_changes(uow, consents_before, person.email), *decided]
        consents = with_changes(consents_before, changes[person.customer_id])
        given = {
            "name": person.name,
            "first_name": person.first_name,
            "email": person.email,
            "phone": person.phone,
        }
        profile, _ = normalize_fields(given, transaction.context.company.timezone)
        await uow.customers.upsert(person.customer_id, {**profile, "consents": consents})
        if person.customer_id not in transaction.relationships:
            transaction.open(person.customer_id, met_at).schedule_first_evaluation(met_at)
    if transaction.journeys:
        await write(uow, transaction, runs_actions=False)
    await uow.consents.insert(changes)
