"""What moves do beyond moving: actions planned and dropped, campaigns ended, in the transaction of the move itself.

Where a company's time is moved by hand, what falls due on the way happens here too, each at its own instant.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from journey_service.domain.actions.action import Action, ActionState
from journey_service.domain.actions.action_plan import ActionPlan
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.actions.timing import triggers_actions
from journey_service.domain.events.event import EARLIEST
from journey_service.domain.journeys.journey import Journey
from journey_service.repositories.actions.action_plans import Stored
from journey_service.repositories.unit_of_work import UnitOfWork

_WITH_THEIR_CAUSE: Final = ("event", "manual", "start")
"""Moves that come after what falls due at the same instant; those that time brings come before."""


@dataclass(frozen=True, slots=True)
class ChangedJourney:
    """A customer worked on in this transaction: the row, the journey, and whether there was none before."""

    relationship_id: int
    journey: Journey
    is_new: bool


@dataclass(slots=True)
class ActionPlans:
    """Agendas being decided on, by the id of the relationship, and whose the customers were before."""

    context: CompanyContext
    by_id: dict[int, ActionPlan]
    owners: dict[int, str | None]

    async def save(self, uow: UnitOfWork, *, only: Collection[int] | None = None) -> None:
        """Write what is new or otherwise than before."""
        chosen = {id_: action_plan for id_, action_plan in self.by_id.items() if only is None or id_ in only}
        owners = {
            id_: action_plan.owner
            for id_, action_plan in chosen.items()
            if action_plan.owner is not None and action_plan.owner != self.owners.get(id_)
        }
        await uow.action_plans.save(chosen, is_simulated=has_test_clock(self.context), owners=owners)


def has_test_clock(context: CompanyContext) -> bool:
    """Whether the company's time stands still until it is moved."""
    return context.company.clock_at is not None


async def load(
    uow: UnitOfWork,
    context: CompanyContext,
    versions: Mapping[int, int],
    *,
    now: datetime,
    without: Collection[int] = (),
) -> ActionPlans:
    """The agendas of relationships that are held, by id with the seq of their last move; `without` have none yet."""
    asked = [id_ for id_ in versions if id_ not in without]
    # Where time is moved, things happen long before now: of these, all that was ever sent counts.
    span = timedelta(days=context.rulebook.policy.frequency_cap_days)
    stored = await uow.action_plans.load(asked, since=EARLIEST if has_test_clock(context) else now - span)
    return ActionPlans(
        context,
        {id_: _agenda(context, id_, version, stored.get(id_)) for id_, version in versions.items()},
        {id_: one.owner for id_, one in stored.items()},
    )


async def plan_actions(
    uow: UnitOfWork,
    context: CompanyContext,
    moved: Iterable[ChangedJourney],
    *,
    now: datetime,
    runs_actions: bool,
    is_history: bool = False,
) -> Mapping[int, str | None]:
    """Do what the moves written in this transaction call for; without `runs_actions` they plan nothing new.

    Of history, those of long ago do not either: wherever the company's clock is, nobody has moved it over them.
    Returns whose the customers concerned are now, by the id of the relationship.
    """
    simulated = has_test_clock(context)
    concerned = {
        one.relationship_id: one
        for one in moved
        # Whoever was erased keeps ageing, and nobody is told.
        if one.journey.relationship.customer_id >= 0 and (one.journey.new_transitions or simulated)
    }
    if not concerned:
        return {}
    action_plans = await load(
        uow,
        context,
        {
            id_: one.journey.relationship.version - len(one.journey.new_transitions)
            for id_, one in concerned.items()
        },
        now=now,
        # Where time is moved, what falls due happens at once: how somebody may be reached has to be known.
        without=() if simulated else [id_ for id_, one in concerned.items() if one.is_new],
    )
    for id_, one in concerned.items():
        action_plan = action_plans.by_id[id_]
        loud = _loud(one.journey, context, now, is_history=is_history) if runs_actions else ()
        _follow(action_plan, one.journey, context, now, loud=loud)
        if is_history or not runs_actions:
            action_plan.outbound_events = [
                outbound_events
                for outbound_events in action_plan.outbound_events
                if outbound_events.transition_seq is None or outbound_events.transition_seq in loud
            ]
    await action_plans.save(uow)
    return {id_: action_plan.owner for id_, action_plan in action_plans.by_id.items()}


def _loud(journey: Journey, context: CompanyContext, now: datetime, *, is_history: bool) -> Collection[int]:
    """The seqs of those moves that run the actions of the stage entered."""
    at = context.now if is_history else now
    is_test = has_test_clock(context) and not is_history
    return [
        each.seq
        for each in journey.new_transitions
        if triggers_actions(each, at, has_test_clock=is_test)
    ]


def _follow(
    action_plan: ActionPlan,
    journey: Journey,
    context: CompanyContext,
    now: datetime,
    *,
    loud: Collection[int],
) -> None:
    simulated = has_test_clock(context)
    gone: list[Action] = []
    for transition in journey.new_transitions:
        at = transition.transitioned_at
        if simulated:
            gone += action_plan.run_due(at, is_through=transition.cause.kind in _WITH_THEIR_CAUSE)
        action_plan.move(transition, runs_actions=transition.seq in loud)
    if simulated:
        gone += action_plan.run_due(now, is_through=True)
    if context.company.delivers:
        for action in gone:
            action.state, action.finished_at, action.is_released_by_test_clock = (
                ActionState.PENDING,
                None,
                True,
            )


def _agenda(context: CompanyContext, relationship_id: int, version: int, stored: Stored | None) -> ActionPlan:
    action_plan = ActionPlan(
        policy=context.rulebook.policy,
        zone=ZoneInfo(context.company.timezone),
        stage_map=context.rulebook.stage_map,
        stage_actions=context.stage_actions,
        assignee_seed=relationship_id,
        version=version,
    )
    if stored is not None:
        action_plan.reach, action_plan.owner, action_plan.sent = stored.reach, stored.owner, stored.sent
        action_plan.actions, action_plan.campaigns, action_plan.tasks = (
            stored.actions,
            stored.campaigns,
            stored.tasks,
        )
    return action_plan
