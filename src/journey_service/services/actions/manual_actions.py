"""Actions that a person requests for one customer: call, email, offer."""

from datetime import datetime

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.action import Action, ManualActionRequest
from journey_service.domain.actions.action_plan import ActionPlan, DueDecision, manual_action
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.actions.records import DeliveryLogRow
from journey_service.domain.actions.stage_actions import Channel, Step
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.errors import IdempotencyKeyReusedError, InvalidInputError, quote_value
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.actions.delivery_log import action_values, find_action
from journey_service.services.actions.templates import wordings
from journey_service.services.journeys import action_planning as action_plans
from journey_service.services.journeys.transaction import load, write


async def request_action(
    database: Database, company_id: int, customer_id: int, wish: ManualActionRequest, *, by: Actor
) -> DeliveryLogRow:
    """Do something about a customer because a person asks for it: the same consents, the same cap, the same log.

    A call is a task at once; a mail or an offer goes out as soon as may be. What may not be done is written down as
    cancelled, with the reason. Raises CustomerNotFoundError, InvalidInputError, IdempotencyKeyReusedError.
    """

    async def unit(uow: UnitOfWork) -> DeliveryLogRow:
        transaction = await load(uow, [customer_id])
        journey = transaction.find(customer_id)
        if journey is None:
            raise CustomerNotFoundError(customer_id)
        relationship_id = transaction.relationships[customer_id].id
        if wish.request_key is not None:
            earlier = await uow.deliveries.of_request(relationship_id, wish.request_key)
            if earlier is not None:
                if action_values(earlier) != _asked(wish, transaction.now):
                    raise IdempotencyKeyReusedError
                await uow.audit.record_operator_access(by, "post_action", customer_id)
                return earlier
        await _check_template(uow, wish)
        journey.advance_to(transaction.now)
        await write(uow, transaction)
        held = await action_plans.load(
            uow, transaction.context, {relationship_id: journey.relationship.version}, now=transaction.now
        )
        action = manual_action(wish, transaction.now, stage=journey.relationship.current_stage, actor=by.name)
        _judge(held.by_id[relationship_id], action, transaction.context)
        await held.save(uow)
        detail = {"channel": wish.channel.value, "state": action.state.value}
        await uow.audit.record(
            by, AuditEntry("action.ask", customer_id=customer_id, target=f"action:{action.id}", detail=detail)
        )
        return await find_action(uow, str(action.id))

    return await database.run(company_id, unit)


def _judge(action_plan: ActionPlan, action: Action, context: CompanyContext) -> None:
    """Decide at once what can be decided: whoever asks is told."""
    action_plan.request(action)
    if action_plan.decide_due(action, action.due_at) is not DueDecision.GO:
        return
    if action.step.channel is Channel.CALL:
        action_plan.complete_internally(action, action.due_at)
    elif context.company.delivers:
        action.is_released_by_test_clock = True
    elif action_plans.has_test_clock(context):
        action_plan.conclude(action, action.due_at)


async def _check_template(uow: UnitOfWork, wish: ManualActionRequest) -> None:
    key = wish.template
    if key is None:
        return
    known = await wordings(uow, [key])
    if not any(template.channel is wish.channel for template in known[key]):
        raise InvalidInputError.at("/template", f"{quote_value(key)} is no template of this channel")


def _asked(wish: ManualActionRequest, now: datetime) -> tuple[Step, str | None]:
    """What tells a request from another one under the same key."""
    action = manual_action(wish, now, stage="", actor="")
    return action.step, action.note
