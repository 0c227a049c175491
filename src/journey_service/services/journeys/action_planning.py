"""Action planning: updates action plans for new transitions, in the transaction that writes them.

For a company with a test clock it also runs the actions that are due, each as of its due instant.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from journey_service.domain.actions.action import Action, ActionState
from journey_service.domain.actions.action_plan import ActionPlan
from journey_service.domain.actions.company_context import CompanyContext
from journey_service.domain.actions.timing import resumes_recurrence, triggers_actions
from journey_service.domain.events.event import EARLIEST
from journey_service.domain.journeys.journey import Journey
from journey_service.repositories.actions.action_plan_rows import StoredActionPlan
from journey_service.repositories.unit_of_work import UnitOfWork

_AFTER_DUE_ACTIONS: Final = ("event", "manual", "start")
"""Causes of transitions that follow the actions due at the same instant; other transitions precede them."""


@dataclass(frozen=True, slots=True)
class ChangedJourney:
    """A journey that this transaction has changed, with its row id; `is_new`: opened in this transaction."""

    relationship_id: int
    journey: Journey
    is_new: bool


@dataclass(slots=True)
class LoadedActionPlans:
    """Action plans by relationship id, and the owners as stored."""

    context: CompanyContext
    by_id: dict[int, ActionPlan]
    owners: dict[int, str | None]

    async def save(self, uow: UnitOfWork, *, only: Collection[int] | None = None) -> None:
        """Writes what has changed in the action plans, or in `only` some of them."""
        chosen = {id_: action_plan for id_, action_plan in self.by_id.items() if only is None or id_ in only}
        owners = {
            id_: action_plan.owner
            for id_, action_plan in chosen.items()
            if action_plan.owner is not None and action_plan.owner != self.owners.get(id_)
        }
        await uow.action_plans.save(chosen, is_simulated=has_test_clock(self.context), owners=owners)


def has_test_clock(context: CompanyContext) -> bool:
    """Returns whether the company's time is a test clock's."""
    return context.company.clock_at is not None


async def load(
    uow: UnitOfWork,
    context: CompanyContext,
    versions: Mapping[int, int],
    *,
    now: datetime,
    without: Collection[int] = (),
) -> LoadedActionPlans:
    """Loads the action plans of locked relationships; those in `without` get empty plans.

    `versions` maps the relationship ids to the seq of the last transition.
    """
    requested = [id_ for id_ in versions if id_ not in without]
    # With a test clock, actions run as of instants long before now: all messages ever sent count for the cap.
    span = timedelta(days=context.rulebook.policy.frequency_cap_days)
    stored = await uow.action_plans.get_many(
        requested, since=EARLIEST if has_test_clock(context) else now - span
    )
    return LoadedActionPlans(
        context,
        {id_: _action_plan(context, id_, version, stored.get(id_)) for id_, version in versions.items()},
        {id_: plan.owner for id_, plan in stored.items()},
    )


async def plan_actions(
    uow: UnitOfWork,
    context: CompanyContext,
    changed: Iterable[ChangedJourney],
    *,
    now: datetime,
    runs_actions: bool,
    is_import: bool = False,
) -> Mapping[int, str | None]:
    """Updates the action plans of changed journeys; without `runs_actions` no new actions are planned.

    For imported events (`is_import`) only transitions of the last day plan actions, also for a company with a test
    clock. Returns the owners of the customers by relationship id.
    """
    is_test = has_test_clock(context)
    by_id = {
        change.relationship_id: change
        for change in changed
        # Erased customers still change stages, but have no actions and no outbound events.
        if change.journey.relationship.customer_id >= 0 and (change.journey.new_transitions or is_test)
    }
    if not by_id:
        return {}
    action_plans = await load(
        uow,
        context,
        {
            id_: change.journey.relationship.version - len(change.journey.new_transitions)
            for id_, change in by_id.items()
        },
        now=now,
        # With a test clock, due actions run at once: even a new customer's reachability is needed.
        without=() if is_test else [id_ for id_, change in by_id.items() if change.is_new],
    )
    for id_, change in by_id.items():
        action_plan = action_plans.by_id[id_]
        acting = _acting(change.journey, context, now, is_import=is_import) if runs_actions else {}
        _apply(action_plan, change.journey, context, now, acting=acting)
        if is_import or not runs_actions:
            action_plan.outbound_events = [
                outbound_event
                for outbound_event in action_plan.outbound_events
                if outbound_event.transition_seq is None or outbound_event.transition_seq in acting
            ]
    await action_plans.save(uow)
    return {id_: action_plan.owner for id_, action_plan in action_plans.by_id.items()}


def _acting(
    journey: Journey, context: CompanyContext, now: datetime, *, is_import: bool
) -> Mapping[int, bool]:
    """Returns the seqs of the transitions that run actions of the entered stage.

    The value is whether they run all of them, or only resume those that recur.
    """
    at = context.now if is_import else now
    is_test = has_test_clock(context) and not is_import
    moves = journey.new_transitions
    resuming = [each.seq for each in moves if resumes_recurrence(each, at, has_test_clock=is_test)]
    running = [each.seq for each in moves if triggers_actions(each, at, has_test_clock=is_test)]
    return {**dict.fromkeys(resuming, False), **dict.fromkeys(running, True)}


def _apply(
    action_plan: ActionPlan,
    journey: Journey,
    context: CompanyContext,
    now: datetime,
    *,
    acting: Mapping[int, bool],
) -> None:
    """Applies new transitions to an action plan, in order with the actions that a test clock runs."""
    action_plan.last_appointment_at = journey.relationship.facts.last_appointment_at
    is_test = has_test_clock(context)
    done: list[Action] = []
    for transition in journey.new_transitions:
        at = transition.transitioned_at
        if is_test:
            done += action_plan.run_due(at, is_inclusive=transition.cause.kind in _AFTER_DUE_ACTIONS)
        action_plan.apply_transition(
            transition,
            runs_actions=acting.get(transition.seq, False),
            resumes_recurrence=transition.seq in acting,
        )
    if is_test:
        done += action_plan.run_due(now, is_inclusive=True)
    if context.company.delivers_messages:
        for action in done:  # released to the dispatcher, which delivers them
            action.state, action.finished_at = ActionState.PENDING, None
            action.is_released_by_test_clock = True


def _action_plan(
    context: CompanyContext, relationship_id: int, version: int, stored: StoredActionPlan | None
) -> ActionPlan:
    action_plan = ActionPlan(
        policy=context.rulebook.policy,
        zone=context.company.zone,
        stage_map=context.rulebook.stage_map,
        stage_actions=context.stage_actions,
        assignee_seed=relationship_id,
        version=version,
    )
    if stored is not None:
        action_plan.reachability, action_plan.owner, action_plan.sent = (
            stored.reachability,
            stored.owner,
            stored.sent,
        )
        action_plan.open_bookings, action_plan.done_steps = stored.open_bookings, stored.done_steps
        action_plan.actions, action_plan.campaigns, action_plan.tasks = (
            stored.actions,
            stored.campaigns,
            stored.tasks,
        )
    return action_plan
