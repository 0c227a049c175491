"""A line of the log for each move, once it is committed: ids and stage keys, no personal data."""

import logging
import re
from datetime import UTC, datetime

import pytest

from journey_service.domain.events.event import Event, EventType
from journey_service.services.events.ingest import ingest
from journey_service.services.journeys.transaction import load, write

T0 = datetime(2026, 1, 20, 12, tzinfo=UTC)
LOGGER = "journey_service.services.journeys.transaction"


def appointment(customer_id):
    return Event("tests", "1", customer_id, EventType.APPOINTMENT_COMPLETED, T0, 4_000)


async def test_a_move_is_logged_with_ids_and_stages(database, create_test_company, caplog):
    tenant = await create_test_company(test_clock=T0)
    caplog.set_level(logging.INFO, LOGGER)

    await ingest(database, tenant.id, [appointment(4711)])

    lines = [record.getMessage() for record in caplog.records if record.name == LOGGER]
    assert [re.sub(r"transition \d+", "transition 1", line) for line in lines] == [
        f"company {tenant.id}: transition 1 moved a customer from no stage to prospect (journey_started)",
        f"company {tenant.id}: transition 1 moved a customer from prospect to customer (appointment_completed)",
    ]
    assert "4711" not in "".join(lines)


async def test_a_move_that_is_rolled_back_is_not_logged(database, create_test_company, caplog):
    tenant = await create_test_company(test_clock=T0)
    caplog.set_level(logging.INFO, LOGGER)

    async def unit(uow):
        transaction = await load(uow, [4711])
        transaction.open(4711, T0).schedule_first_evaluation(T0)
        await write(uow, transaction)
        raise LookupError

    with pytest.raises(LookupError):
        await database.run(tenant.id, unit)

    assert [record for record in caplog.records if record.name == LOGGER] == []
