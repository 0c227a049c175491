"""Actions that a person requests for one customer: call, email, or offer."""

from datetime import datetime

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.action import Action, ManualActionRequest, manual_action
from journey_service.domain.actions.action_plan import ActionPlan
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.actions.planning.state import DueDecision
from journey_service.domain.actions.records import DeliveryLogRow
from journey_service.domain.actions.stage_actions import ActionStep, Channel
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.errors import IdempotencyKeyReusedError, InvalidInputError, quote_value
from journey_service.domain.journeys.relationship import Relationship
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.actions.delivery_log import action_values, find_action
from journey_service.services.actions.templates import load_templates
from journey_service.services.journeys import action_planning
from journey_service.services.journeys.transaction import JourneyTransaction, load, write


async def request_action(
    database: Database, company_id: int, customer_id: int, request: ManualActionRequest, *, by: Actor
) -> DeliveryLogRow:
    """Requests an action for a customer. Consents, frequency cap and delivery log apply as to planned actions.

    A call becomes a task at once; an email or offer is sent as soon as possible. An action that is not allowed is
    stored as cancelled, with the reason. Raises CustomerNotFoundError, InvalidInputError, IdempotencyKeyReusedError.
    """

    async def unit(uow: UnitOfWork) -> DeliveryLogRow:
        transaction = await load(uow, [customer_id])
        journey = transaction.find(customer_id)
        if journey is None:
            raise CustomerNotFoundError(customer_id)
        earlier = await _find_earlier(uow, transaction.row_id(customer_id), request, transaction.now)
        if earlier is not None:
            await uow.audit_log.record_operator_access(by, "request_action", customer_id)
            return earlier
        await check_template(uow, request)
        journey.advance_to(transaction.now)
        await write(uow, transaction)
        return await _request(uow, transaction, journey.relationship, request, by)

    return await database.run(company_id, unit)


async def _find_earlier(
    uow: UnitOfWork, relationship_id: int, request: ManualActionRequest, now: datetime
) -> DeliveryLogRow | None:
    """Returns the action of an earlier request with the same key. Raises IdempotencyKeyReusedError."""
    if request.request_key is None:
        return None
    earlier = await uow.delivery_log.find_by_request(relationship_id, request.request_key)
    if earlier is not None and action_values(earlier) != _request_values(request, now):
        raise IdempotencyKeyReusedError
    return earlier


async def _request(
    uow: UnitOfWork,
    transaction: JourneyTransaction,
    relationship: Relationship,
    request: ManualActionRequest,
    by: Actor,
) -> DeliveryLogRow:
    """Adds the action to the plan of the customer, decided, and returns it."""
    row_id, now = transaction.row_id(relationship.customer_id), transaction.now
    action_plans = await action_planning.load(
        uow, transaction.context, {row_id: relationship.version}, now=now
    )
    action = manual_action(request, now, stage=relationship.current_stage, actor=by.name)
    decide_now(action_plans.by_id[row_id], action, transaction.context)
    await action_plans.save(uow)
    detail = {"channel": request.channel.value, "state": action.state.value}
    target, customer_id = f"action:{action.id}", relationship.customer_id
    entry = AuditEntry("action.request", customer_id=customer_id, target=target, detail=detail)
    await uow.audit_log.record(by, entry)
    return await find_action(uow, str(action.id))


def decide_now(action_plan: ActionPlan, action: Action, context: CompanyContext) -> None:
    """Adds a manual action, and decides it immediately where possible, so that the response contains the decision."""
    action_plan.request(action)
    if action_plan.decide_due(action, action.due_at) is not DueDecision.GO:
        return
    if action.step.channel is Channel.CALL:
        action_plan.complete_internally(action, action.due_at)
    elif context.company.delivers_messages:
        action.is_released_by_test_clock = True
    elif action_planning.has_test_clock(context):
        action_plan.complete(action, action.due_at)


async def check_template(uow: UnitOfWork, request: ManualActionRequest) -> None:
    """Checks that the template of a request exists for its channel. Raises InvalidInputError."""
    key = request.template
    if key is None:
        return
    templates = await load_templates(uow, [key])
    if not any(template.channel is request.channel for template in templates[key]):
        raise InvalidInputError.at("/template", f"there is no template {quote_value(key)} for this channel")


def _request_values(request: ManualActionRequest, now: datetime) -> tuple[ActionStep, str | None]:
    """Returns the step and note of a request: a repeated key must have the same."""
    action = manual_action(request, now, stage="", actor="")
    return action.step, action.note
