"""Action plan of one customer: plans actions on a transition, decides due actions, cancels others.

Nothing here reads a clock or sends anything. A due action is sent, deferred to the end of quiet hours, or cancelled
with a recorded reason.
"""

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final

from journey_service.domain.actions.action import (
    Action,
    ActionState,
    Campaign,
    EndReason,
    ManualActionRequest,
    OutboundEvent,
    OutboundEventType,
    Task,
)
from journey_service.domain.actions.contact_policy import (
    UNREACHABLE,
    ContactDecision,
    Reachability,
    deferred_until,
    is_capped,
)
from journey_service.domain.actions.stage_actions import (
    HUMAN_TASK_CHANNELS,
    MESSAGES,
    QUIET_HOURS_CHANNELS,
    ActionStep,
    Channel,
    StageAction,
    StageActionMap,
)
from journey_service.domain.actions.timing import due
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.journeys.booking_pause import pausing_booking
from journey_service.domain.journeys.facts import Times
from journey_service.domain.journeys.relationship import Transition
from journey_service.domain.stages.stage_map import StageKind, StageMap

_DEFAULT_TASK_DUE_DAYS: Final = 1


class DueDecision(StrEnum):
    """Decision on an action that has fallen due."""

    GO = "go"
    HELD = "held"
    DROPPED = "dropped"


@dataclass(slots=True)
class ActionPlan:
    """Open actions, campaigns and tasks of one customer, and everything that decisions on them depend on.

    `campaigns` are the running ones and the latest ended one of each type. `sent` are the times at which messages were
    counted under the frequency cap, by channel, ascending. New rows are in `planned` and `outbound_events`; rows to be
    updated have `is_changed` set.
    """

    policy: CompanyPolicy
    zone: tzinfo
    stage_map: StageMap
    stage_actions: StageActionMap
    assignee_seed: int = 0
    """Number that is constant for the customer; it selects one of several assignees."""
    version: int = 0
    """Sequence number of the customer's last transition."""
    is_erased: bool = False
    open_bookings: Times = ()
    reachability: Reachability = UNREACHABLE
    owner: str | None = None
    actions: list[Action] = field(default_factory=list)
    campaigns: list[Campaign] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    sent: dict[Channel, list[datetime]] = field(default_factory=dict)
    planned: list[Action] = field(default_factory=list)
    outbound_events: list[OutboundEvent] = field(default_factory=list)

    # ---- transitions

    def apply_transition(self, transition: Transition, *, runs_actions: bool) -> None:
        """Cancels what is bound to the previous stage, and plans the actions of the stage entered."""
        at, seq = transition.transitioned_at, transition.seq
        self.version = seq
        self.outbound_events.append(OutboundEvent(OutboundEventType.STAGE_CHANGED, transition_seq=seq))
        mildest = self.stage_map.mildest_risk
        if mildest is not None and transition.to_stage == mildest.key:
            self.outbound_events.append(OutboundEvent(OutboundEventType.CUSTOMER_AT_RISK, transition_seq=seq))
        for action in self._pending_actions():
            if action.is_stage_bound and action.transition_seq is not None and action.transition_seq < seq:
                self._cancel(action, EndReason.LEFT_STAGE, at)
        for campaign in running_campaigns(self.campaigns):
            self._end_campaign(campaign, EndReason.LEFT_STAGE, at)
        for task in self.tasks:
            is_over = task.is_stage_bound and task.transition_seq is not None and task.transition_seq < seq
            if task.ended_at is None and is_over:
                task.ended_at, task.reason = at, EndReason.LEFT_STAGE
        if runs_actions:
            for stage_action in self.stage_actions.get(transition.to_stage, ()):
                self._plan_action(stage_action, transition)

    def end_all(self, at: datetime, reason: EndReason) -> None:
        """Cancels every pending action, and ends all campaigns and tasks: the customer was erased."""
        for action in self._all_actions():
            if action.state is ActionState.PENDING:
                self._cancel(action, reason, at)
        for campaign in running_campaigns(self.campaigns):
            self._end_campaign(campaign, reason, at)
        for task in self.tasks:
            if task.ended_at is None:
                task.ended_at, task.reason = at, reason

    def cancel_campaign(self, campaign: Campaign, at: datetime) -> None:
        """Ends a campaign manually: cancels its pending actions and closes its tasks."""
        for action in self._pending_actions():
            if action.campaign is campaign:
                self._cancel(action, EndReason.CAMPAIGN_ENDED, at)
        for task in self.tasks:
            if task.campaign is campaign and task.ended_at is None:
                task.ended_at, task.reason = at, EndReason.CAMPAIGN_ENDED
        self._end_campaign(campaign, EndReason.MANUAL, at)

    def request(self, action: Action) -> None:
        """Adds a manual action."""
        self.planned.append(action)

    # ---- due actions

    def decide_due(self, action: Action, now: datetime) -> DueDecision:
        """Decides whether a due action is sent (and counted under the frequency cap), deferred or cancelled.

        A retried action is not counted again.
        """
        channel = action.step.channel
        obstacle = self._cancel_reason(action, now)
        if obstacle is not None:
            return self._cancel(action, obstacle, now)
        if channel in QUIET_HOURS_CHANNELS and (held := self._defer(action, now)) is not None:
            return held
        if channel in MESSAGES and action.reserved_at is None:
            if is_capped(self.sent.get(channel, ()), now, self.policy):
                return self._cancel(action, EndReason.CAPPED, now)
            insort(self.sent.setdefault(channel, []), now)
            action.reserved_at = now
        action.is_changed = True
        return DueDecision.GO

    def cancel_if_unreachable(self, action: Action, now: datetime) -> bool:
        """Cancels an action decided earlier if the customer was erased or can no longer be contacted."""
        if self.is_erased:
            self._cancel(action, EndReason.ERASED, now)
        elif (reason := self._contact_obstacle(action.step.channel)) is not None:
            self._cancel(action, reason, now)
        return action.state is ActionState.CANCELLED

    def cancel(self, action: Action, reason: EndReason, now: datetime) -> None:
        """Cancels an action for a reason found outside the plan."""
        self._cancel(action, reason, now)

    def complete(self, action: Action, at: datetime) -> None:
        """Marks an action as done; ends its campaign if it was the last step."""
        action.state, action.finished_at, action.is_changed = ActionState.DONE, at, True
        self._complete_campaign(action, at)

    def complete_internally(self, action: Action, at: datetime) -> None:
        """Carries out an action that needs no sender: creates a task, or assigns the customer to an owner."""
        step = action.step
        assignee = self._assignee(step)
        if step.channel is Channel.ASSIGNMENT:
            self.owner = assignee
        elif step.channel in HUMAN_TASK_CHANNELS:
            task = Task(
                channel=step.channel,
                name=action.name,
                title=step.title or action.name.replace("_", " "),
                stage=action.stage,
                due_at=due(
                    at, _DEFAULT_TASK_DUE_DAYS if step.due_days is None else step.due_days, 0, self.zone
                ),
                transition_seq=action.transition_seq,
                is_stage_bound=action.is_stage_bound,
                created_at=at,
                assignee=assignee or self.owner,
                note=action.note,
                action=action,
                campaign=action.campaign,
            )
            self.tasks.append(task)
            self.outbound_events.append(OutboundEvent(OutboundEventType.TASK_CREATED, task=task))
        self.complete(action, at)

    def run_due(self, until: datetime, *, is_inclusive: bool) -> list[Action]:
        """Carries out every action due before `until`, or at it if `is_inclusive`, as of its own due time.

        For companies with a test clock: returns the actions that remain to be sent, which already count as done.
        """
        unsent = []
        at = datetime.min.replace(tzinfo=UTC)
        while (action := self._next_due(until, is_inclusive=is_inclusive)) is not None:
            # A step that waited for the step before it is carried out later than its due time.
            at = max(at, action.due_at)
            if self.decide_due(action, at) is DueDecision.GO:
                if action.step.channel in (Channel.ASSIGNMENT, *HUMAN_TASK_CHANNELS):
                    self.complete_internally(action, at)
                else:
                    unsent.append(action)
                    self.complete(action, at)
        return unsent

    # ---- helpers

    def _plan_action(self, stage_action: StageAction, transition: Transition) -> None:
        at = transition.transitioned_at
        campaign, refused = None, None
        if stage_action.is_campaign:
            refused = self._campaign_obstacle(transition.to_stage, at)
            if refused is None:
                campaign = Campaign(transition.to_stage, transition.seq, at, stage_action.steps)
                self.campaigns.append(campaign)
                self.outbound_events.append(
                    OutboundEvent(OutboundEventType.CAMPAIGN_STARTED, campaign=campaign)
                )
        stage = self.stage_map.by_key.get(transition.to_stage)
        is_risk = stage is not None and stage.kind is StageKind.RISK
        for number, step in enumerate(stage_action.steps):
            due_at = due(at, step.day, step.hours, self.zone)
            action = Action(
                name=stage_action.name,
                number=number,
                step=step,
                stage=transition.to_stage,
                transition_seq=transition.seq,
                is_stage_bound=is_risk or step.is_delayed or campaign is not None,
                planned_at=due_at,
                due_at=due_at,
                campaign=campaign,
            )
            self.planned.append(action)
            if refused is not None:
                self._cancel(action, refused, at)

    def _campaign_obstacle(self, campaign_type: str, at: datetime) -> EndReason | None:
        """Returns why no campaign of a type may start now; None if one may."""
        pause = timedelta(days=self.policy.campaign_pause_days)
        for campaign in self.campaigns:
            if campaign.type != campaign_type:
                continue
            if campaign.ended_at is None:
                return EndReason.CAMPAIGN_RUNNING
            if at < campaign.ended_at + pause:
                return EndReason.CAMPAIGN_PAUSE
        return None

    def _cancel_reason(self, action: Action, now: datetime) -> EndReason | None:
        """Returns why an action must be cancelled, a retried one included; None if it need not."""
        if self.is_erased:
            return EndReason.ERASED
        if action.is_stage_bound and (action.transition_seq or 0) < self.version:
            return EndReason.LEFT_STAGE
        campaign = action.campaign
        # A dead step may have been the last of its campaign: it can still be retried manually.
        if (
            campaign is not None
            and campaign.ended_at is not None
            and campaign.reason is not EndReason.COMPLETED
        ):
            return EndReason.CAMPAIGN_ENDED
        if campaign is not None and pausing_booking(self.open_bookings, self.policy, now) is not None:
            return EndReason.HAS_BOOKING
        return self._contact_obstacle(action.step.channel)

    def _contact_obstacle(self, channel: Channel) -> EndReason | None:
        """Returns why the customer must not be contacted on a channel; None if contact is allowed."""
        if channel not in MESSAGES:
            return None
        decision = self.reachability.contact_decision(channel, self.policy)
        return {
            ContactDecision.NO_CONSENT: EndReason.NO_CONSENT,
            ContactDecision.NO_ADDRESS: EndReason.NO_ADDRESS,
        }.get(decision)

    def _defer(self, action: Action, now: datetime) -> DueDecision | None:
        max_delay = timedelta(hours=self.policy.max_hold_hours)
        is_overdue = action.due_at != action.planned_at and now > action.planned_at + max_delay
        if is_overdue and action.reserved_at is None:  # an action that was started in time may be retried
            return self._cancel(action, EndReason.HELD_TOO_LONG, now)
        end = deferred_until(now, self.policy, self.zone)
        if end is None:
            return None
        action.due_at, action.is_changed = end, True
        return DueDecision.HELD

    def _cancel(self, action: Action, reason: EndReason, at: datetime) -> DueDecision:
        # Nothing is sent, so the action no longer counts under the frequency cap.
        reserved = self.sent.get(action.step.channel, [])
        if action.reserved_at in reserved:
            reserved.remove(action.reserved_at)
        action.reserved_at = None
        action.state, action.reason, action.finished_at = ActionState.CANCELLED, reason, at
        action.is_changed = True
        self._complete_campaign(action, at)
        return DueDecision.DROPPED

    def _end_campaign(self, campaign: Campaign, reason: EndReason, at: datetime) -> None:
        campaign.ended_at, campaign.reason, campaign.is_changed = at, reason, True
        self.outbound_events.append(OutboundEvent(OutboundEventType.CAMPAIGN_ENDED, campaign=campaign))

    def _complete_campaign(self, action: Action, at: datetime) -> None:
        """Ends a campaign as completed after its last step; a single cancelled step does not end it."""
        campaign = action.campaign
        if campaign is None or campaign.ended_at is not None or action.reason in _CAMPAIGN_END_REASONS:
            return
        if not any(
            other.campaign is campaign and other.is_live and not other.is_released_by_test_clock
            for other in self._all_actions()
        ):
            self._end_campaign(campaign, EndReason.COMPLETED, at)

    def _next_due(self, until: datetime, *, is_inclusive: bool) -> Action | None:
        waiting = [
            action
            for action in self._pending_actions()
            if (action.due_at < until or (is_inclusive and action.due_at == until))
            and not self._waits_for_earlier_step(action)
        ]
        return min(
            waiting, key=lambda action: (action.due_at, action.planned_at, action.number), default=None
        )

    def _waits_for_earlier_step(self, action: Action) -> bool:
        """Whether an earlier step of the same stage action is not over."""
        return action.number > 0 and any(
            (other.transition_seq, other.name) == (action.transition_seq, action.name)
            and other.number < action.number
            and other.is_live
            and not other.is_released_by_test_clock
            for other in self._all_actions()
        )

    def _assignee(self, step: ActionStep) -> str | None:
        return step.assignees[self.assignee_seed % len(step.assignees)] if step.assignees else None

    def _pending_actions(self) -> list[Action]:
        """Actions that can still be decided on: neither leased, nor released by a test clock."""
        return [
            action
            for action in self._all_actions()
            if action.state is ActionState.PENDING and not action.is_released_by_test_clock
        ]

    def _all_actions(self) -> list[Action]:
        return [*self.actions, *self.planned]


_CAMPAIGN_END_REASONS: Final = (EndReason.LEFT_STAGE, EndReason.CAMPAIGN_ENDED, EndReason.ERASED)


def running_campaigns(campaigns: Iterable[Campaign]) -> Sequence[Campaign]:
    """Returns the campaigns that have not ended."""
    return [campaign for campaign in campaigns if campaign.ended_at is None]


def manual_action(request: ManualActionRequest, at: datetime, *, stage: str, actor: str) -> Action:
    """Builds a manual action that is due at once; fields that do not apply to its channel are ignored."""
    channel = request.channel
    if channel in HUMAN_TASK_CHANNELS:
        step = ActionStep(
            channel=channel,
            title=request.title or ("Call this customer" if channel is Channel.CALL else None),
            assignees=() if request.assignee is None else (request.assignee,),
            due_days=request.due_days,
        )
    else:
        offer = request.offer if channel is Channel.OFFER else ()
        step = ActionStep(
            channel=channel, template=request.template or _MANUAL_TEMPLATES.get(channel), offer=offer
        )
    return Action(
        name=f"personal_{channel}",
        number=0,
        step=step,
        stage=stage,
        transition_seq=None,
        is_stage_bound=False,
        planned_at=at,
        due_at=at,
        note=request.note,
        actor=actor,
        request_key=request.request_key,
    )


_MANUAL_TEMPLATES: Final = {Channel.EMAIL: "personal_email", Channel.OFFER: "personal_offer"}
