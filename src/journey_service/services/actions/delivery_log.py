"""Delivery log: lists actions with their attempts, and retries dead actions."""

from collections.abc import Sequence
from dataclasses import dataclass

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.errors import (
    ActionNotDeadError,
    ActionNotFoundError,
    EndpointDisabledError,
)
from journey_service.domain.actions.records import ActionFilter, DeliveryLogRow, StoredAttempt
from journey_service.domain.actions.stage_actions import ActionStep
from journey_service.domain.row_counts import RowCount
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class ActionView:
    """An action and its attempts."""

    action: DeliveryLogRow
    attempts: Sequence[StoredAttempt]


async def list_actions(
    database: Database, company_id: int, filter_: ActionFilter
) -> tuple[Sequence[DeliveryLogRow], RowCount]:
    """Lists actions, newest first; and counts all, if requested."""

    async def unit(uow: UnitOfWork) -> tuple[Sequence[DeliveryLogRow], RowCount]:
        await uow.companies.get_context()
        return await uow.delivery_log.page(filter_)

    return await database.run(company_id, unit)


async def get_action(database: Database, company_id: int, action_id: str) -> ActionView:
    """Returns one action with its attempts. Raises ActionNotFoundError."""

    async def unit(uow: UnitOfWork) -> ActionView:
        return ActionView(await find_action(uow, action_id), await uow.delivery_log.list_attempts(action_id))

    return await database.run(company_id, unit)


async def retry_action(database: Database, company_id: int, action_id: str, *, by: Actor) -> DeliveryLogRow:
    """Retries an action at once that is dead, or was cancelled because the customer had no address.

    Raises ActionNotFoundError, ActionNotDeadError, EndpointDisabledError.
    """

    async def unit(uow: UnitOfWork) -> DeliveryLogRow:
        action = await find_action(uow, action_id)
        if action.endpoint_id is not None:
            endpoint = await uow.webhook_endpoints.find(action.endpoint_id)
            if endpoint is None or not endpoint.is_enabled:
                raise EndpointDisabledError(action.endpoint_id)
        context = await uow.companies.get_context()
        if not await uow.delivery_log.retry(
            action_id, context.now, is_simulated=context.company.clock_at is not None
        ):
            raise ActionNotDeadError(action_id, action.state)
        await uow.audit_log.record(
            by, AuditEntry("action.retry", customer_id=action.customer_id, target=f"action:{action_id}")
        )
        return await find_action(uow, action_id)

    return await database.run(company_id, unit)


def action_values(action: DeliveryLogRow) -> tuple[ActionStep, str | None]:
    """Returns the step and note of an action, which identify the request that created it."""
    return action.step, action.note


async def find_action(uow: UnitOfWork, action_id: str) -> DeliveryLogRow:
    """Returns one action of the company. Raises ActionNotFoundError."""
    action = await uow.delivery_log.find(action_id)
    if action is None:
        raise ActionNotFoundError(action_id)
    return action
