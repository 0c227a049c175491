"""Actions that a person requests for one customer: call, email, offer."""

from datetime import datetime

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import Act
from journey_service.domain.actions.action import Action, Wish
from journey_service.domain.actions.action_plan import Agenda, Verdict, by_hand
from journey_service.domain.actions.company_context import Desk
from journey_service.domain.actions.records import Listed
from journey_service.domain.actions.stage_actions import Channel, Step
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.errors import IdempotencyKeyReusedError, InvalidInputError, quoted
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import Work
from journey_service.services.actions.delivery_log import action_values, find_action
from journey_service.services.actions.templates import wordings
from journey_service.services.journeys import action_planning as agendas
from journey_service.services.journeys.transaction import load, write


async def ask(database: Database, company_id: int, customer_id: int, wish: Wish, *, by: Actor) -> Listed:
    """Do something about a customer because a person asks for it: the same consents, the same cap, the same log.

    A call is a task at once; a mail or an offer goes out as soon as may be. What may not be done is written down as
    cancelled, with the reason. Raises CustomerNotFoundError, InvalidInputError, IdempotencyKeyReusedError.
    """

    async def unit(work: Work) -> Listed:
        docket = await load(work, [customer_id])
        journey = docket.find(customer_id)
        if journey is None:
            raise CustomerNotFoundError(customer_id)
        relationship_id = docket.standings[customer_id].id
        if wish.request_key is not None:
            earlier = await work.deliveries.of_request(relationship_id, wish.request_key)
            if earlier is not None:
                if action_values(earlier) != _asked(wish, docket.now):
                    raise IdempotencyKeyReusedError
                await work.audit.record_presence(by, "post_action", customer_id)
                return earlier
        await _check_template(work, wish)
        journey.bring_to(docket.now)
        await write(work, docket)
        held = await agendas.load(
            work, docket.desk, {relationship_id: journey.relationship.version}, now=docket.now
        )
        action = by_hand(wish, docket.now, stage=journey.relationship.current_stage, actor=by.name)
        _judge(held.by_id[relationship_id], action, docket.desk)
        await held.save(work)
        detail = {"channel": wish.channel.value, "state": action.state.value}
        await work.audit.record(
            by, Act("action.ask", customer_id=customer_id, target=f"action:{action.id}", detail=detail)
        )
        return await find_action(work, str(action.id))

    return await database.run(company_id, unit)


def _judge(agenda: Agenda, action: Action, desk: Desk) -> None:
    """Decide at once what can be decided: whoever asks is told."""
    agenda.ask(action)
    if agenda.judge(action, action.due_at) is not Verdict.GO:
        return
    if action.step.channel is Channel.CALL:
        agenda.work_off(action, action.due_at)
    elif desk.company.delivers:
        action.is_cleared = True
    elif agendas.is_simulated(desk):
        agenda.conclude(action, action.due_at)


async def _check_template(work: Work, wish: Wish) -> None:
    key = wish.template
    if key is None:
        return
    known = await wordings(work, [key])
    if not any(template.channel is wish.channel for template in known[key]):
        raise InvalidInputError.at("/template", f"{quoted(key)} is no template of this channel")


def _asked(wish: Wish, now: datetime) -> tuple[Step, str | None]:
    """What tells a request from another one under the same key."""
    action = by_hand(wish, now, stage="", actor="")
    return action.step, action.note
