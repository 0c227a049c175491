"""What is to be done for one customer: planned on entering a stage, judged when it falls due, dropped on leaving.

Nothing here reads a clock or sends anything. A move plans actions and drops others; an action that has fallen due is
judged: it goes out, waits for the end of quiet hours, or is cancelled for a reason that stays on record.
"""

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

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
from journey_service.domain.actions.stage_actions import (
    HUMAN_TASK_CHANNELS,
    MESSAGES,
    QUIET_HOURS_CHANNELS,
    ActionStep,
    Channel,
    ContactDecision,
    Reachability,
    StageAction,
    StageActionMap,
)
from journey_service.domain.actions.timing import PAUSED_RETRY_INTERVAL, due, quiet_until
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.journeys.relationship import Transition
from journey_service.domain.stages.stage_map import StageKind, StageMap

UNREACHABLE: Final = Reachability({}, has_email=False, has_phone=False)
"""Of whom nothing is known yet."""
_DUE_DAYS: Final = 1


class DueDecision(StrEnum):
    """What becomes of an action that has fallen due."""

    GO = "go"
    HELD = "held"
    DROPPED = "dropped"


@dataclass(slots=True)
class ActionPlan:
    """What one customer's actions are decided by, and the actions, campaigns and tasks that are not over yet.

    `campaigns` are those that run and the latest of each type that has ended. `sent` are the instants at which
    messages were reserved, by channel, in order. What is new or otherwise than before is among `planned`, `news`,
    and whatever is marked as changed.
    """

    policy: CompanyPolicy
    zone: ZoneInfo
    stage_map: StageMap
    stage_actions: StageActionMap
    assignee_seed: int = 0
    """Which of several assignees this customer gets: a number that is the customer's own."""
    version: int = 0
    """The seq of the customer's last move."""
    is_erased: bool = False
    reachability: Reachability = UNREACHABLE
    owner: str | None = None
    actions: list[Action] = field(default_factory=list)
    campaigns: list[Campaign] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    sent: dict[Channel, list[datetime]] = field(default_factory=dict)
    planned: list[Action] = field(default_factory=list)
    outbound_events: list[OutboundEvent] = field(default_factory=list)

    # ---- moves

    def move(self, transition: Transition, *, runs_actions: bool) -> None:
        """The customer has left a stage, and entered another: drop what was for the one, plan what is for the other."""
        at, seq = transition.transitioned_at, transition.seq
        self.version = seq
        self.outbound_events.append(OutboundEvent(OutboundEventType.STAGE_CHANGED, transition_seq=seq))
        mildest = self.stage_map.mildest_risk
        if mildest is not None and transition.to_stage == mildest.key:
            self.outbound_events.append(OutboundEvent(OutboundEventType.CUSTOMER_AT_RISK, transition_seq=seq))
        for action in self._open_actions():
            if action.is_stage_bound and action.transition_seq is not None and action.transition_seq < seq:
                self._cancel(action, EndReason.LEFT_STAGE, at)
        for campaign in running_campaigns(self.campaigns):
            self._end(campaign, EndReason.LEFT_STAGE, at)
        for task in self.tasks:
            is_over = task.is_stage_bound and task.transition_seq is not None and task.transition_seq < seq
            if task.ended_at is None and is_over:
                task.ended_at, task.reason = at, EndReason.LEFT_STAGE
        if runs_actions:
            for asked in self.stage_actions.get(transition.to_stage, ()):
                self._begin(asked, transition)

    def end_all(self, at: datetime, reason: EndReason) -> None:
        """Nothing is to be done any more: the customer was erased."""
        for action in self._all():
            if action.state is ActionState.PENDING:
                self._cancel(action, reason, at)
        for campaign in running_campaigns(self.campaigns):
            self._end(campaign, reason, at)
        for task in self.tasks:
            if task.ended_at is None:
                task.ended_at, task.reason = at, reason

    def cancel_campaign(self, campaign: Campaign, at: datetime) -> None:
        """A person ends a campaign: what has not gone out yet never does, and its tasks are closed."""
        for action in self._open_actions():
            if action.campaign is campaign:
                self._cancel(action, EndReason.CAMPAIGN_ENDED, at)
        for task in self.tasks:
            if task.campaign is campaign and task.ended_at is None:
                task.ended_at, task.reason = at, EndReason.CAMPAIGN_ENDED
        self._end(campaign, EndReason.BY_HAND, at)

    def request(self, action: Action) -> None:
        """A person asks for an action."""
        self.planned.append(action)

    # ---- what has fallen due

    def decide_due(self, action: Action, now: datetime) -> DueDecision:
        """What becomes of an action that has fallen due: it may go (its place under the cap is taken), waits, or not.

        One that has been let go before, and is only tried again, keeps its place.
        """
        channel = action.step.channel
        obstacle = self._obstacle(action)
        if obstacle is not None:
            return self._cancel(action, obstacle, now)
        if channel in QUIET_HOURS_CHANNELS and (held := self._hold(action, now)) is not None:
            return held
        if channel in MESSAGES and action.reserved_at is None:
            lately = [at for at in self.sent.get(channel, ()) if now - self._cap_span < at]
            if len(lately) >= self.policy.frequency_cap:
                return self._cancel(action, EndReason.CAPPED, now)
            insort(self.sent.setdefault(channel, []), now)
            action.reserved_at = now
        action.is_changed = True
        return DueDecision.GO

    def cancel_if_unreachable(self, action: Action, now: datetime) -> bool:
        """Whether an action that was let go before must not be sent any more: it is then dropped."""
        if self.is_erased:
            self._cancel(action, EndReason.ERASED, now)
        elif (reason := self._unreachable(action.step.channel)) is not None:
            self._cancel(action, reason, now)
        return action.state is ActionState.CANCELLED

    def cancel(self, action: Action, reason: EndReason, now: datetime) -> None:
        """It turns out that an action cannot be done here."""
        self._cancel(action, reason, now)

    def complete(self, action: Action, at: datetime) -> None:
        """An action is done; the last of a campaign ends it."""
        action.state, action.finished_at, action.is_changed = ActionState.DONE, at, True
        self._perhaps_complete(action, at)

    def complete_internally(self, action: Action, at: datetime) -> None:
        """Do what needs nobody outside: write a task, or say whose the customer is."""
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
                due_at=due(at, _DUE_DAYS if step.due_days is None else step.due_days, 0, self.zone),
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
        """Let everything due before an instant, or `is_through` up to it, happen at its own instant.

        For companies whose time is moved: what would have gone out is returned, and counts as done.
        """
        gone = []
        at = datetime.min.replace(tzinfo=UTC)
        while (action := self._next_due(until, is_inclusive=is_inclusive)) is not None:
            # One that had to wait for the step before it comes later than it was due.
            at = max(at, action.due_at)
            if self.decide_due(action, at) is DueDecision.GO:
                if action.step.channel in (Channel.ASSIGNMENT, *HUMAN_TASK_CHANNELS):
                    self.complete_internally(action, at)
                else:
                    gone.append(action)
                    self.complete(action, at)
        return gone

    # ---- what the steps are made of

    def _begin(self, asked: StageAction, transition: Transition) -> None:
        at = transition.transitioned_at
        campaign, refused = None, None
        if asked.is_campaign:
            refused = self._refusal(transition.to_stage, at)
            if refused is None:
                campaign = Campaign(transition.to_stage, transition.seq, at, asked.steps)
                self.campaigns.append(campaign)
                self.outbound_events.append(
                    OutboundEvent(OutboundEventType.CAMPAIGN_STARTED, campaign=campaign)
                )
        stage = self.stage_map.by_key.get(transition.to_stage)
        is_risk = stage is not None and stage.kind is StageKind.RISK
        for number, step in enumerate(asked.steps):
            due_at = due(at, step.day, step.hours, self.zone)
            action = Action(
                name=asked.name,
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

    def _refusal(self, kind: str, at: datetime) -> EndReason | None:
        """Why no campaign of a type begins now, if none does."""
        pause = timedelta(days=self.policy.campaign_pause_days)
        for campaign in self.campaigns:
            if campaign.type != kind:
                continue
            if campaign.ended_at is None:
                return EndReason.CAMPAIGN_RUNNING
            if at < campaign.ended_at + pause:
                return EndReason.CAMPAIGN_PAUSE
        return None

    def _obstacle(self, action: Action) -> EndReason | None:
        """Why an action must not be done, if so: also one that was begun before, and is tried again."""
        if self.is_erased:
            return EndReason.ERASED
        if action.is_stage_bound and (action.transition_seq or 0) < self.version:
            return EndReason.LEFT_STAGE
        campaign = action.campaign
        # A step that failed for good may have been the last: somebody may have it tried again all the same.
        if (
            campaign is not None
            and campaign.ended_at is not None
            and campaign.reason is not EndReason.COMPLETED
        ):
            return EndReason.CAMPAIGN_ENDED
        return self._unreachable(action.step.channel)

    def _unreachable(self, channel: Channel) -> EndReason | None:
        """Why the customer may not be contacted on a channel, if so."""
        if channel not in MESSAGES:
            return None
        fate = self.reachability.contact_decision(channel, self.policy)
        return {
            ContactDecision.NO_CONSENT: EndReason.NO_CONSENT,
            ContactDecision.NO_ADDRESS: EndReason.NO_ADDRESS,
        }.get(fate)

    def _hold(self, action: Action, now: datetime) -> DueDecision | None:
        longest = timedelta(hours=self.policy.longest_hold_hours)
        is_overdue = action.due_at != action.planned_at and now > action.planned_at + longest
        if is_overdue and action.reserved_at is None:  # one that was begun in time may still be tried again
            return self._cancel(action, EndReason.HELD_TOO_LONG, now)
        end = quiet_until(now, self.policy, self.zone)
        if end is None and self.policy.messages_paused:
            end = now + PAUSED_RETRY_INTERVAL
        if end is None:
            return None
        action.due_at, action.is_changed = end, True
        return DueDecision.HELD

    def _cancel(self, action: Action, reason: EndReason, at: datetime) -> DueDecision:
        # Nothing goes out: the place under the cap is for others.
        taken = self.sent.get(action.step.channel, [])
        if action.reserved_at in taken:
            taken.remove(action.reserved_at)
        action.reserved_at = None
        action.state, action.reason, action.finished_at = ActionState.CANCELLED, reason, at
        action.is_changed = True
        self._perhaps_complete(action, at)
        return DueDecision.DROPPED

    def _end(self, campaign: Campaign, reason: EndReason, at: datetime) -> None:
        campaign.ended_at, campaign.reason, campaign.is_changed = at, reason, True
        self.outbound_events.append(OutboundEvent(OutboundEventType.CAMPAIGN_ENDED, campaign=campaign))

    def _perhaps_complete(self, action: Action, at: datetime) -> None:
        """A campaign whose last step is over has come to its end: one step that is not sent does not stop it."""
        campaign = action.campaign
        if campaign is None or campaign.ended_at is not None or action.reason in _ENDING:
            return
        if not any(
            other.campaign is campaign and other.is_live and not other.is_released_by_test_clock
            for other in self._all()
        ):
            self._end(campaign, EndReason.COMPLETED, at)

    def _next_due(self, until: datetime, *, is_inclusive: bool) -> Action | None:
        waiting = [
            action
            for action in self._open_actions()
            if (action.due_at < until or (is_inclusive and action.due_at == until))
            and not self._has_to_wait(action)
        ]
        return min(
            waiting, key=lambda action: (action.due_at, action.planned_at, action.number), default=None
        )

    def _has_to_wait(self, action: Action) -> bool:
        """Whether a step before this one is not over yet."""
        return action.number > 0 and any(
            (other.transition_seq, other.name) == (action.transition_seq, action.name)
            and other.number < action.number
            and other.is_live
            and not other.is_released_by_test_clock
            for other in self._all()
        )

    def _assignee(self, step: ActionStep) -> str | None:
        return step.assignees[self.assignee_seed % len(step.assignees)] if step.assignees else None

    def _open_actions(self) -> list[Action]:
        """What can still be decided on: not what is under way, or only waits to be taken away."""
        return [
            action
            for action in self._all()
            if action.state is ActionState.PENDING and not action.is_released_by_test_clock
        ]

    def _all(self) -> list[Action]:
        return [*self.actions, *self.planned]

    @property
    def _cap_span(self) -> timedelta:
        return timedelta(days=self.policy.frequency_cap_days)


_ENDING: Final = (EndReason.LEFT_STAGE, EndReason.CAMPAIGN_ENDED, EndReason.ERASED)


def running_campaigns(campaigns: Iterable[Campaign]) -> Sequence[Campaign]:
    """Those that have not ended."""
    return [campaign for campaign in campaigns if campaign.ended_at is None]


def manual_action(wish: ManualActionRequest, at: datetime, *, stage: str, actor: str) -> Action:
    """What a person asks for about a customer, at once. What means nothing on its channel is left out."""
    kind = wish.channel
    if kind in HUMAN_TASK_CHANNELS:
        step = ActionStep(
            channel=kind,
            title=wish.title or ("Call this customer" if kind is Channel.CALL else None),
            assignees=() if wish.assignee is None else (wish.assignee,),
            due_days=wish.due_days,
        )
    else:
        offer = wish.offer if kind is Channel.OFFER else ()
        step = ActionStep(channel=kind, template=wish.template or _BY_HAND.get(kind), offer=offer)
    return Action(
        name=f"personal_{kind}",
        number=0,
        step=step,
        stage=stage,
        transition_seq=None,
        is_stage_bound=False,
        planned_at=at,
        due_at=at,
        note=wish.note,
        actor=actor,
        request_key=wish.request_key,
    )


_BY_HAND: Final = {Channel.EMAIL: "personal_email", Channel.OFFER: "personal_offer"}
