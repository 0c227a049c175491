"""Runs of stage actions: a run is what one transition plans for one action of the stage entered."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from journey_service.domain.actions.action import Action, Campaign, EndReason, Task
from journey_service.domain.actions.stage_actions import ActionStep, DelayFrom, StageAction, StepKey
from journey_service.domain.actions.timing import due, next_occurrence
from journey_service.domain.journeys.relationship import Transition

_DEFAULT_TASK_DUE_DAYS: Final = 1
_STOPPING_REASONS: Final = (EndReason.LEFT_STAGE, EndReason.CAMPAIGN_ENDED, EndReason.ERASED)


@dataclass(frozen=True, slots=True)
class RunStart:
    """The transition that starts a run, and what the due times of its steps depend on."""

    transition: Transition
    zone: tzinfo
    last_appointment_at: datetime | None = None

    def due_at(self, step: ActionStep) -> datetime:
        """Returns when a step is due: never before the stage was entered."""
        entered_at = self.transition.transitioned_at
        start = entered_at
        if step.delay_from is DelayFrom.APPOINTMENT and self.last_appointment_at is not None:
            start = min(self.last_appointment_at, entered_at)
        return max(due(start, step.day, step.hours, self.zone), entered_at)


def build_run(
    start: RunStart,
    stage_action: StageAction,
    steps: Iterable[tuple[int, ActionStep]],
    *,
    is_in_risk_stage: bool,
    campaign: Campaign | None,
) -> list[Action]:
    """Builds the actions of a run from the given steps and their numbers.

    All but single immediate steps of a progress stage are cancelled when the customer leaves the stage.
    """
    is_bound = is_in_risk_stage or len(stage_action.steps) > 1 or campaign is not None
    return [
        _build(
            start.transition,
            (stage_action.name, number, step),
            start.due_at(step),
            is_stage_bound=is_bound or step.is_delayed or step.every_days is not None,
            campaign=campaign,
        )
        for number, step in steps
    ]


def build_resumed(start: RunStart, stage_action: StageAction) -> Action | None:
    """Builds the next occurrence of an action that recurs, one period after the transition; None for others."""
    step = stage_action.recurring_step
    if step is None or step.every_days is None:
        return None
    at = due(start.transition.transitioned_at, step.every_days, 0, start.zone)
    return _build(start.transition, (stage_action.name, 0, step), at)


def build_next_occurrence(
    action: Action, configured: StageAction | None, now: datetime, zone: tzinfo
) -> Action | None:
    """Builds the occurrence after a decided one, as the stage is configured now; None if it does not recur."""
    step = None if configured is None else configured.recurring_step
    if step is None or step.every_days is None or action.transition_seq is None:
        return None
    if action.reason in _STOPPING_REASONS:
        return None
    at = next_occurrence(action.planned_at, step.every_days, now, zone)
    return Action(
        name=action.name,
        number=action.number + 1,
        step=step,
        stage=action.stage,
        transition_seq=action.transition_seq,
        is_stage_bound=True,
        planned_at=at,
        due_at=at,
    )


def build_task(action: Action, at: datetime, assignee: str | None, zone: tzinfo) -> Task:
    """Builds the task that an action on a channel of tasks creates at `at`."""
    step = action.step
    return Task(
        channel=step.channel,
        name=action.name,
        title=step.title or action.name.replace("_", " "),
        stage=action.stage,
        due_at=due(at, _DEFAULT_TASK_DUE_DAYS if step.due_days is None else step.due_days, 0, zone),
        transition_seq=action.transition_seq,
        is_stage_bound=action.is_stage_bound,
        created_at=at,
        assignee=assignee,
        note=action.note,
        action=action,
        campaign=action.campaign,
    )


def done_numbers(
    done_steps: Collection[StepKey], actions: Iterable[Action], stage: str, name: str
) -> frozenset[int]:
    """Returns the numbers of the steps of a stage action that are done, now or earlier."""
    released = {action.step_key for action in actions if action.is_released_by_test_clock}
    return frozenset(key[2] for key in released.union(done_steps) if key[:2] == (stage, name))


def find_undecided(action: Action, actions: Iterable[Action]) -> Action | None:
    """Returns the same step of another run that may still be done before this one; None if there is none."""
    return next(
        (
            other
            for other in actions
            if other is not action
            and other.is_live
            and other.step_key == action.step_key
            and other.transition_seq is not None
            and (other.is_in_flight or other.transition_seq < (action.transition_seq or 0))
        ),
        None,
    )


def later_steps(action: Action, actions: Iterable[Action]) -> Iterator[Action]:
    """Yields the later steps of the same run."""
    return (other for other in actions if action.is_of_same_run(other) and other.number > action.number)


def waits_for_earlier_step(action: Action, actions: Iterable[Action]) -> bool:
    """Returns whether an earlier step of the same run is not over, and does not wait for an address."""
    return action.number > 0 and any(
        action.is_of_same_run(other)
        and other.number < action.number
        and other.is_live
        and not other.is_awaiting_address
        and not other.is_released_by_test_clock
        for other in actions
    )


def _build(
    transition: Transition,
    step: tuple[str, int, ActionStep],
    at: datetime,
    *,
    is_stage_bound: bool = True,
    campaign: Campaign | None = None,
) -> Action:
    """Builds the action of a step, given as name of the action, number and step, that is due at `at`."""
    name, number, details = step
    return Action(
        name=name,
        number=number,
        step=details,
        stage=transition.to_stage,
        transition_seq=transition.seq,
        is_stage_bound=is_stage_bound,
        planned_at=at,
        due_at=at,
        campaign=campaign,
    )
