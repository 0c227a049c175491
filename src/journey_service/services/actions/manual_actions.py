"""Actions that a person requests for one customer: call, email, or offer."""

from datetime import datetime

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.action import Action, ManualActionRequest
from journey_service.domain.actions.action_plan import ActionPlan, DueDecision, manual_action
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.actions.records import DeliveryLogRow
from journey_service.domain.actions.stage_actions import ActionStep, Channel
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.errors import IdempotencyKeyReusedError, InvalidInputError, quote_value
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.actions.delivery_log import action_values, find_action
from journey_service.services.actions.templates import load_templates
from journey_service.services.journeys import action_planning
from journey_service.services.journeys.transaction import load, write


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
        relationship_id = transaction.relationships[customer_id].id
        if request.request_key is not None:
            earlier = await uow.delivery_log.find_by_request(relationship_id, request.request_key)
            if earlier is not None:
                if action_values(earlier) != _request_values(request, transaction.now):
                    raise IdempotencyKeyReusedError
                await uow.audit_log.record_operator_access(by, "request_action", customer_id)
                return earlier
        await check_template(uow, request)
        journey.advance_to(transaction.now)
        await write(uow, transaction)
        action_plans = await action_planning.load(
            uow, transaction.context, {relationship_id: journey.relationship.version}, now=transaction.now
        )
        action = manual_action(
            request, transaction.now, stage=journey.relationship.current_stage, actor=by.name
        )
        decide_now(action_plans.by_id[relationship_id], action, transaction.context)
        await action_plans.save(uow)
        detail = {"channel": request.channel.value, "state": action.state.value}
        await uow.audit_log.record(
            by,
            AuditEntry(
                "action.request", customer_id=customer_id, target=f"action:{action.id}", detail=detail
            ),
        )
        return await find_action(uow, str(action.id))

    return await database.run(company_id, unit)


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
