"""Claims due actions and outbound events from the outbox, under a lease.

Stage, consent, quiet hours and frequency cap are checked again under the customer's row lock, in the transaction that
claims the action. A change that commits later finds the action already leased.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from journey_service.domain.actions.action import Action, ActionState, EndReason
from journey_service.domain.actions.action_plan import ActionPlan
from journey_service.domain.actions.planning.state import DueDecision
from journey_service.domain.actions.stage_actions import HUMAN_TASK_CHANNELS, MAIL_CHANNELS, Channel
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.actions.delivery.outbound_messages import (
    Links,
    MessageBuilder,
    OutboundMessage,
    load_secrets,
)
from journey_service.services.journeys.action_planning import load as load_action_plans
from journey_service.services.journeys.transaction import load, write

_INTERNAL_CHANNELS: Final = (Channel.ASSIGNMENT, *HUMAN_TASK_CHANNELS)
"""Channels whose actions are completed inside the claiming transaction, without an external call."""


class ActionDecodeError(Exception):
    """Stored actions have a format that this version cannot decode."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Lease on claimed actions: its token, and after how many seconds without renewal it expires."""

    token: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ClaimRequest:
    """Request to claim `only` one action, or all due actions except those for `busy_endpoints`."""

    lease: Lease
    only: str | None = None
    busy_endpoints: Collection[int] = ()


@dataclass(slots=True)
class ClaimedBatch:
    """Result of one claim: the messages to send, and how many actions were settled without one."""

    outbound_messages: list[OutboundMessage] = field(default_factory=list)
    settled: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing was due, or other workers hold all of it."""
        return not self.outbound_messages and not self.settled


async def list_due(uow: UnitOfWork, channels: Sequence[Channel], *, limit: int) -> list[str]:
    """Lists the ids of due actions without claiming them."""
    return [candidate.id for candidate in await uow.outbox.list_due(channels, limit=limit)]


async def claim_due(
    uow: UnitOfWork,
    request: ClaimRequest,
    *,
    channels: Sequence[Channel],
    limit: int,
    links: Links,
    has_mailer: bool,
) -> ClaimedBatch:
    """Claims customers' due actions; completes those that need no external call.

    Raises ActionDecodeError.
    """
    candidates = await uow.outbox.list_due(channels, limit=limit)
    if request.only is not None:
        candidates = [candidate for candidate in candidates if candidate.id == request.only]
    if not candidates:
        return ClaimedBatch()
    transaction = await load(uow, (candidate.customer_id for candidate in candidates), only_free=True)
    locked = [candidate.id for candidate in candidates if candidate.customer_id in transaction.relationships]
    claimed = await uow.outbox.claim(locked, request.lease.token, request.lease.seconds)
    # Decide first what is due: customers may have left the stage that their actions are for.
    transaction.advance_all(transaction.now)
    if transaction.journeys:
        await write(uow, transaction, as_decided=True)
    customers = {stored.id: customer_id for customer_id, stored in transaction.relationships.items()}
    versions = {stored.id: stored.relationship.version for stored in transaction.relationships.values()}
    action_plans = await load_action_plans(uow, transaction.context, versions, now=transaction.now)
    for relationship_id, action_plan in action_plans.by_id.items():
        action_plan.is_erased = customers[relationship_id] < 0
        _mark_in_flight(action_plan, claimed)
    to_send = _decide(action_plans.by_id, claimed, transaction.now, has_mailer=has_mailer)
    builder = MessageBuilder(uow, transaction, customers, links)
    outbound_messages = await builder.build(to_send, action_plans.by_id)
    await action_plans.save(uow)
    await _set_attempts(uow, outbound_messages)
    return ClaimedBatch(outbound_messages, len(claimed) - len(outbound_messages))


def _decide(
    action_plans: Mapping[int, ActionPlan], claimed: Collection[str], now: datetime, *, has_mailer: bool
) -> list[tuple[int, Action]]:
    """Decides every claimed action; returns those to be sent, with their relationship ids.

    Raises ActionDecodeError.
    """
    to_send: list[tuple[int, Action]] = []
    missing = set(claimed)
    for relationship_id, action_plan in action_plans.items():
        for action in action_plan.actions:
            if action.id not in claimed:
                continue
            missing.discard(action.id)
            if _is_to_be_sent(action_plan, action, now, has_mailer=has_mailer):
                to_send.append((relationship_id, action))
    if missing:
        raise ActionDecodeError(f"{len(missing)} actions cannot be decoded")
    return to_send


async def _set_attempts(uow: UnitOfWork, outbound_messages: Sequence[OutboundMessage]) -> None:
    attempts = await uow.outbox.get_attempt_counts([each.id for each in outbound_messages])
    for outbound_message in outbound_messages:
        outbound_message.attempts = attempts[outbound_message.id]


async def claim_outbound_events(uow: UnitOfWork, request: ClaimRequest, *, share: int) -> ClaimedBatch:
    """Claims due outbound events, at most `share` for each endpoint."""
    lease = request.lease
    claimed = await uow.outbox.claim_outbound_events(
        (lease.token, lease.seconds), share=share, only=request.only, without=request.busy_endpoints
    )
    if not claimed:
        return ClaimedBatch()
    context = await uow.companies.get_context()
    events = await uow.outbound_events.get_many([delivery.outbound_event_id for delivery in claimed])
    endpoints = {endpoint.id: endpoint for endpoint in await uow.webhook_endpoints.list_all()}
    outbound_messages, dropped = [], {EndReason.ERASED: list[str](), EndReason.ENDPOINT_DISABLED: list[str]()}
    secrets: dict[int, Sequence[bytes]] = {}
    for delivery in claimed:
        endpoint, event = endpoints[delivery.endpoint_id], events.get(delivery.outbound_event_id)
        if event is None:
            dropped[EndReason.ERASED].append(delivery.id)
        elif not endpoint.is_enabled:
            dropped[EndReason.ENDPOINT_DISABLED].append(delivery.id)
        else:
            if endpoint.id not in secrets:
                secrets[endpoint.id] = await load_secrets(uow, endpoint.id)
            outbound_messages.append(
                OutboundMessage(
                    delivery.id,
                    uow.company_id,
                    delivery.attempts,
                    Channel.WEBHOOK,
                    endpoint=endpoint,
                    secrets=secrets[endpoint.id],
                    outbound_event=event,
                )
            )
    for reason, ids in dropped.items():
        if ids:
            await uow.outbox.cancel(ids, lease.token, reason.value, context.now)
    return ClaimedBatch(outbound_messages, len(claimed) - len(outbound_messages))


def _mark_in_flight(action_plan: ActionPlan, claimed: Collection[str]) -> None:
    """Marks the actions that other workers are carrying out."""
    for action in action_plan.actions:
        action.is_in_flight = action.state is ActionState.LEASED and action.id not in claimed


def _is_to_be_sent(action_plan: ActionPlan, action: Action, now: datetime, *, has_mailer: bool) -> bool:
    """Decides whether an action is sent now; completes, defers or drops it otherwise."""
    channel = action.step.channel
    if action.is_released_by_test_clock and action_plan.cancel_if_unreachable(action, now):
        return False
    if not action.is_released_by_test_clock:
        decision = action_plan.decide_due(action, now)
        if decision is DueDecision.HELD:
            action.state = ActionState.PENDING
        if decision is not DueDecision.GO:
            return False
    if channel in _INTERNAL_CHANNELS:
        action_plan.complete_internally(action, now)
        return False
    if channel in MAIL_CHANNELS and not has_mailer:
        action_plan.cancel(action, EndReason.NO_CHANNEL, now)
        return False
    return True
