"""Publishes outbound events: assigns positions in commit order and queues deliveries to endpoints."""

import logging
from typing import Final

from journey_service.domain.errors import UnavailableError
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork

_PUBLISH_BATCH_SIZE: Final = 500
"""Events published by one transaction."""

_LOGGER = logging.getLogger(__name__)


async def publish(database: Database, company_id: int) -> int:
    """Publishes all unpublished events of a company; returns how many."""

    async def unit(uow: UnitOfWork) -> int:
        context = await uow.companies.get_context()
        delivers_messages = context.company.clock_at is None or context.company.delivers_messages
        return await uow.outbound_events.publish(
            limit=_PUBLISH_BATCH_SIZE, now=context.now, delivers_messages=delivers_messages
        )

    published = 0
    while batch := await database.run(company_id, unit):
        published += batch
        if batch < _PUBLISH_BATCH_SIZE:
            break
    return published


async def publish_due(database: Database) -> int:
    """Publishes the events of every company that has unpublished ones; returns how many.

    The failure of one company is logged and does not affect the others. Raises UnavailableError.
    """
    published = 0
    for company_id in await database.read_due_work(
        lambda reader: reader.due_work.companies_with_outbound_events()
    ):
        try:
            published += await publish(database, company_id)
        except UnavailableError:
            raise
        except Exception:
            _LOGGER.exception("publishing outbound events of company %d failed", company_id)
    return published
