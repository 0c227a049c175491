"""Action plan of one customer: plans actions on a transition, decides due actions, cancels others.

Nothing here reads a clock or sends anything. A due action is sent, deferred to the end of quiet hours, or cancelled
with a recorded reason.
"""

from bisect import insort
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from journey_service.domain.actions.action import (
    Action,
    ActionState,
    Campaign,
    EndReason,
    OutboundEvent,
    OutboundEventType,
)
from journey_service.domain.actions.contact_policy import (
    PAUSED_RETRY_INTERVAL,
    deferred_until,
    is_capped,
)
from journey_service.domain.actions.planning.campaigns import running_campaigns
from journey_service.domain.actions.planning.runs import (
    RunStart,
    build_next_occurrence,
    build_resumed,
    build_run,
    build_task,
    find_undecided,
    later_steps,
)
from journey_service.domain.actions.planning.state import ActionPlanState, DueDecision
from journey_service.domain.actions.stage_actions import (
    HUMAN_TASK_CHANNELS,
    MESSAGES,
    QUIET_HOURS_CHANNELS,
    ActionStep,
    Channel,
    Repeat,
    StageAction,
    kind_of,
    repeat_of,
)
from journey_service.domain.journeys.booking_pause import pausing_booking
from journey_service.domain.journeys.relationship import Transition
from journey_service.domain.stages.stage_map import StageKind


@dataclass(slots=True)
class ActionPlan(ActionPlanState):
    """Decisions on the open actions, campaigns and tasks of one customer."""

    # ---- transitions

    def apply_transition(
        self, transition: Transition, *, runs_actions: bool, resumes_recurrence: bool = False
    ) -> None:
        """Cancels what is bound to the previous stage, and plans the actions of the stage entered.

        With `resumes_recurrence` it plans only the next occurrence of those actions that recur and have run before.
        """
        at, seq = transition.transitioned_at, transition.seq
        self.version = seq
        self.outbound_events.append(OutboundEvent(OutboundEventType.STAGE_CHANGED, transition_seq=seq))
        mildest = self.stage_map.mildest_risk
        if mildest is not None and transition.to_stage == mildest.key:
            self.outbound_events.append(OutboundEvent(OutboundEventType.CUSTOMER_AT_RISK, transition_seq=seq))
        self._end_former_stage(at, seq)
        start = RunStart(transition, self.zone, self.last_appointment_at)
        for stage_action in self.stage_actions.get(transition.to_stage, ()):
            if runs_actions:
                self._plan_action(stage_action, start)
            elif resumes_recurrence:
                self._resume(stage_action, start)

    def _end_former_stage(self, at: datetime, seq: int) -> None:
        for action in self._pending_actions():
            if action.is_stage_bound and action.transition_seq is not None and action.transition_seq < seq:
                self._cancel(action, EndReason.LEFT_STAGE, at)
        for campaign in running_campaigns(self.campaigns):
            self._end_campaign(campaign, EndReason.LEFT_STAGE, at)
        for task in self.tasks:
            is_over = task.is_stage_bound and task.transition_seq is not None and task.transition_seq < seq
            if task.ended_at is None and is_over:
                task.ended_at, task.reason = at, EndReason.LEFT_STAGE

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

        A retried action is not counted again. The next occurrence of an action that recurs is planned.
        """
        decision = self._decide(action, now)
        if decision is not DueDecision.HELD and not any(later_steps(action, self._all_actions())):
            following = build_next_occurrence(action, self._configured(action), now, self.zone)
            self.planned += [] if following is None else [following]
        return decision

    def _decide(self, action: Action, now: datetime) -> DueDecision:
        channel = action.step.channel
        obstacle = self._cancel_reason(action, now)
        if obstacle is EndReason.NO_ADDRESS and self._can_wait_for_address(action):
            wait = timedelta(hours=self.policy.address_wait_hours)
            return self._hold(action, now + wait, EndReason.AWAITING_ADDRESS)
        if obstacle is EndReason.NO_CONSENT:
            self._end_sequence(action, now)
        if obstacle is not None:
            return self._cancel(action, obstacle, now)
        if self._runs_once(action) and (other := find_undecided(action, self._all_actions())) is not None:
            return self._hold(action, max(other.due_at, now + PAUSED_RETRY_INTERVAL))
        if action.reason is EndReason.AWAITING_ADDRESS:
            # The wait is over: it does not count as a delay by quiet hours.
            action.planned_at, action.due_at, action.reason = now, now, None
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
        if action.transition_seq is not None:
            self.done_steps |= {action.step_key}
        self._complete_campaign(action, at)

    def complete_internally(self, action: Action, at: datetime) -> None:
        """Carries out an action that needs no sender: creates a task, or assigns the customer to an owner."""
        step = action.step
        assignee = self._assignee(step)
        if step.channel is Channel.ASSIGNMENT:
            self.owner = assignee
        elif step.channel in HUMAN_TASK_CHANNELS:
            task = build_task(action, at, assignee or self.owner, self.zone)
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

    def _plan_action(self, stage_action: StageAction, start: RunStart) -> None:
        at, stage = start.transition.transitioned_at, start.transition.to_stage
        kind = kind_of(self.stage_map, stage)
        is_once = repeat_of(stage_action, kind) is Repeat.ONCE
        done = self._done_numbers(stage, stage_action.name) if is_once else frozenset[int]()
        campaign, refused = None, EndReason.ALREADY_DONE
        if stage_action.is_campaign and len(done) < len(stage_action.steps):
            obstacle = self._campaign_obstacle(stage, at)
            if obstacle is None:
                campaign = self._start_campaign(stage_action, start.transition)
            else:
                done, refused = frozenset(range(len(stage_action.steps))), obstacle
        run = build_run(
            start,
            stage_action,
            self._possible_steps(stage_action),
            is_in_risk_stage=kind is StageKind.RISK,
            campaign=campaign,
        )
        self.planned += run
        # After all are planned: a campaign ends with its last step.
        for action in run:
            if action.number in done:
                self._cancel(action, refused, at)

    def _possible_steps(self, stage_action: StageAction) -> list[tuple[int, ActionStep]]:
        return [
            (number, step)
            for number, step in enumerate(stage_action.steps)
            if step.channel is not Channel.NOTICE or self.account_manager is not None
        ]

    def _start_campaign(self, stage_action: StageAction, transition: Transition) -> Campaign:
        campaign = Campaign(
            transition.to_stage, transition.seq, transition.transitioned_at, stage_action.steps
        )
        self.campaigns.append(campaign)
        self.outbound_events.append(OutboundEvent(OutboundEventType.CAMPAIGN_STARTED, campaign=campaign))
        return campaign

    def _resume(self, stage_action: StageAction, start: RunStart) -> None:
        """Plans the next occurrence of an action that recurs and has run before."""
        if self._done_numbers(start.transition.to_stage, stage_action.name):
            action = build_resumed(start, stage_action)
            self.planned += [] if action is None else [action]

    def _can_wait_for_address(self, action: Action) -> bool:
        return (
            action.transition_seq is not None
            and action.step.channel in MESSAGES
            and not action.is_awaiting_address
            and self.policy.address_wait_hours > 0
        )

    def _end_sequence(self, action: Action, at: datetime) -> None:
        """Cancels the later steps of a sequence on a channel for which consent is missing."""
        if action.campaign is None:
            for other in later_steps(action, self._pending_actions()):
                if other.step.channel is action.step.channel:
                    self._cancel(other, EndReason.NO_CONSENT, at)

    def _cancel_reason(self, action: Action, now: datetime) -> EndReason | None:
        """Returns why an action must be cancelled, a retried one included; None if it need not."""
        if self.is_erased:
            return EndReason.ERASED
        if action.is_stage_bound and (action.transition_seq or 0) < self.version:
            return EndReason.LEFT_STAGE
        if self._runs_once(action) and action.number in self._done_numbers(action.stage, action.name):
            return EndReason.ALREADY_DONE
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

    def _defer(self, action: Action, now: datetime) -> DueDecision | None:
        max_delay = timedelta(hours=self.policy.max_hold_hours)
        is_overdue = action.due_at != action.planned_at and now > action.planned_at + max_delay
        if is_overdue and action.reserved_at is None:  # an action that was started in time may be retried
            return self._cancel(action, EndReason.HELD_TOO_LONG, now)
        end = deferred_until(now, self.policy, self.zone)
        if end is None:
            return None
        return self._hold(action, end)
