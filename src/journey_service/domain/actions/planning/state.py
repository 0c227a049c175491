"""State of an action plan: open actions, campaigns and tasks, and the changes that decisions make to them."""

from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Final

from journey_service.domain.actions.action import (
    Action,
    ActionState,
    Campaign,
    EndReason,
    OutboundEvent,
    OutboundEventType,
    Task,
)
from journey_service.domain.actions.contact_policy import (
    UNREACHABLE,
    ContactDecision,
    Reachability,
    account_manager_email,
)
from journey_service.domain.actions.planning.campaigns import campaign_obstacle
from journey_service.domain.actions.planning.runs import (
    done_numbers,
    waits_for_earlier_step,
)
from journey_service.domain.actions.stage_actions import (
    MESSAGES,
    ActionStep,
    Channel,
    Repeat,
    StageAction,
    StageActionMap,
    StepKey,
    kind_of,
    repeat_of,
)
from journey_service.domain.companies.policy import CompanyPolicy
from journey_service.domain.journeys.facts import Times
from journey_service.domain.stages.stage_map import StageMap


class DueDecision(StrEnum):
    """Decision on an action that has fallen due."""

    GO = "go"
    HELD = "held"
    DROPPED = "dropped"


_CAMPAIGN_END_REASONS: Final = (EndReason.LEFT_STAGE, EndReason.CAMPAIGN_ENDED, EndReason.ERASED)


@dataclass(slots=True)
class ActionPlanState:
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
    last_appointment_at: datetime | None = None
    reachability: Reachability = UNREACHABLE
    owner: str | None = None
    done_steps: frozenset[StepKey] = frozenset()
    """Steps of stage actions that are done, now or earlier."""
    actions: list[Action] = field(default_factory=list)
    campaigns: list[Campaign] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    sent: dict[Channel, list[datetime]] = field(default_factory=dict)
    planned: list[Action] = field(default_factory=list)
    outbound_events: list[OutboundEvent] = field(default_factory=list)

    @property
    def account_manager(self) -> str | None:
        """Email address of the employee who is responsible for the customer; None if none is known."""
        return account_manager_email(self.owner, self.policy)

    def _configured(self, action: Action) -> StageAction | None:
        """Returns the stage action of an action, as it is configured now; None for a manual action."""
        actions = () if action.transition_seq is None else self.stage_actions.get(action.stage, ())
        return next((each for each in actions if each.name == action.name), None)

    def _done_numbers(self, stage: str, name: str) -> frozenset[int]:
        return done_numbers(self.done_steps, self._all_actions(), stage, name)

    def _runs_once(self, action: Action) -> bool:
        configured = self._configured(action)
        kind = kind_of(self.stage_map, action.stage)
        return configured is not None and repeat_of(configured, kind) is Repeat.ONCE

    def _campaign_obstacle(self, campaign_type: str, at: datetime) -> EndReason | None:
        """Returns why no campaign of a type may start now; None if one may."""
        return campaign_obstacle(self.campaigns, campaign_type, at, self.policy.campaign_pause_days)

    def _contact_obstacle(self, channel: Channel) -> EndReason | None:
        """Returns why the customer must not be contacted on a channel; None if contact is allowed."""
        if channel is Channel.NOTICE and self.account_manager is None:
            return EndReason.NO_ADDRESS
        if channel not in MESSAGES:
            return None
        decision = self.reachability.contact_decision(channel, self.policy)
        return {
            ContactDecision.NO_CONSENT: EndReason.NO_CONSENT,
            ContactDecision.NO_ADDRESS: EndReason.NO_ADDRESS,
        }.get(decision)

    def _hold(self, action: Action, until: datetime, reason: EndReason | None = None) -> DueDecision:
        action.due_at, action.reason, action.is_changed = until, reason, True
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
        return waits_for_earlier_step(action, self._all_actions())

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
