"""Runs a command of the service with an injected fault: killed at a chosen point, or without some guards.

JOURNEY_FAULT is `point:n`: the process kills itself (SIGKILL) when that point is reached for the n-th time.
JOURNEY_WITHOUT is a comma-separated list of guards to remove; the test must then detect the violation. JOURNEY_NAME is
the name of the process in its calls. JOURNEY_POLL_SECONDS replaces the seconds between two polls of a worker, so that
tests are fast. The service itself contains none of this code.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import wraps
from itertools import count
from typing import Any
from uuid import uuid4

from sqlalchemy import text

from journey_service.domain.actions.action_plan import ActionPlan
from journey_service.domain.actions.delivery import DeliveryReceipt
from journey_service.gateways import webhooks
from journey_service.repositories import connections, database, database_errors
from journey_service.repositories.actions import outbox
from journey_service.repositories.actions.action_plans import ActionPlans
from journey_service.repositories.actions.outbound_events import OutboundEvents
from journey_service.repositories.actions.outbox import Outbox
from journey_service.repositories.database import Database
from journey_service.repositories.events.ledger import Events
from journey_service.repositories.journeys.relationships import Relationships
from journey_service.repositories.journeys.transitions import Transitions
from journey_service.services.actions.delivery import lane_worker
from journey_service.services.actions.delivery.dispatcher import MessageSenders, OutboxDispatcher
from journey_service.services.actions.delivery.lane_worker import LaneWorker, SentMessage
from journey_service.services.actions.delivery.outbound_messages import OutboundMessage
from journey_service.services.events import ingest_batcher
from journey_service.services.journeys import transaction as context
from journey_service.worker import polling
from processes import run_journey

Hit = Callable[[], None]
Patch = Callable[[Any, str, Any], None]

_is_ingesting: ContextVar[bool] = ContextVar("is_ingesting", default=False)


# ---- points


def _after(*places: tuple[Any, str]) -> Callable[[Hit], None]:
    """A point that is reached when any of these functions returns."""

    def install(hit: Hit) -> None:
        for owner, name in places:
            original = getattr(owner, name)

            @wraps(original)
            async def wrapped(*args, original=original, **options):
                result = await original(*args, **options)
                hit()
                return result

            setattr(owner, name, wrapped)

    return install


def _before(owner: Any, name: str) -> Callable[[Hit], None]:
    """A point that is reached when this function is called."""

    def install(hit: Hit) -> None:
        original = getattr(owner, name)

        @wraps(original)
        async def wrapped(*args, **options):
            hit()
            return await original(*args, **options)

        setattr(owner, name, wrapped)

    return install


def _before_commit(hit: Hit) -> None:
    """A point directly before the commit of a transaction that ingests events."""
    run, ingest = Database.run, ingest_batcher.ingest

    @wraps(run)
    async def running(self, company_id, unit, **options):
        async def watched(work):
            result = await unit(work)
            if _is_ingesting.get():
                hit()
            return result

        return await run(self, company_id, watched, **options)

    @wraps(ingest)
    async def ingesting(*args, **options):
        _is_ingesting.set(True)
        try:
            return await ingest(*args, **options)
        finally:
            _is_ingesting.set(False)

    Database.run, ingest_batcher.ingest = running, ingesting  # type: ignore[method-assign]


def _before_response(hit: Hit) -> None:
    """A point after the commit of an event and before the response."""
    from journey_service.api.events import events  # noqa: PLC0415  # the worker does not import the API

    original = events._json

    @wraps(original)
    def wrapped(shape):
        hit()
        return original(shape)

    events._json = wrapped


API_POINTS: Mapping[str, Callable[[Hit], None]] = {
    "after_lock": _after((Relationships, "lock")),
    "after_update": _after((Relationships, "save")),
    "after_history": _after((Transitions, "insert")),
    "after_actions": _after((ActionPlans, "save")),
    "after_event": _after((Events, "insert")),
    "before_commit": _before_commit,
    "after_commit": _after((ingest_batcher, "ingest")),
    "before_response": _before_response,
}
WORKER_POINTS: Mapping[str, Callable[[Hit], None]] = {
    "at_claim": _after((Outbox, "claim"), (Outbox, "claim_outbound_events")),
    "after_claim": _after((OutboxDispatcher, "_claim")),
    "before_call": _before(MessageSenders, "send"),
    "after_call": _after((MessageSenders, "send")),
    "before_done": _before(Outbox, "finish"),
    "at_done": _after((Outbox, "finish")),
    "at_publication": _after((OutboundEvents, "publish")),
}


def install_fault(values: str) -> None:
    """Makes this process kill itself at `point:n`."""
    point, _, at = values.partition(":")
    visits = count(1)

    def hit() -> None:
        if next(visits) == int(at):
            os.kill(os.getpid(), signal.SIGKILL)

    (API_POINTS | WORKER_POINTS)[point](hit)


# ---- guards


def _actions_in_the_moves_transaction(patch: Patch) -> None:
    """Actions are planned in a separate transaction after the transaction of the move."""
    plan_actions, ingest = context.plan_actions, ingest_batcher.ingest
    waiting: ContextVar[list[Any]] = ContextVar("waiting")

    async def later(_work, *args, **options):
        waiting.get().append((args, options))
        return {}

    async def ingesting(database, company_id, events, **options):
        waiting.set(found := [])
        answers = await ingest(database, company_id, events, **options)
        for args, values in found:
            await database.run(
                company_id, lambda work, args=args, values=values: plan_actions(work, *args, **values)
            )
        return answers

    patch(context, "plan_actions", later)
    patch(ingest_batcher, "ingest", ingesting)


def _event_key(patch: Patch) -> None:
    """Every delivery of an event counts, also duplicates."""
    ingest = ingest_batcher.ingest

    async def ingesting(database, company_id, events, **options):
        renamed = [event._replace(event_id=f"{event.event_id} {uuid4()}") for event in events]
        return await ingest(database, company_id, renamed, **options)

    patch(ingest_batcher, "ingest", ingesting)


def _done_after_the_call(patch: Patch) -> None:
    """An action is recorded as done before the call."""
    send = LaneWorker._send

    async def sending(self, outbound_message, sent_at):
        await self._record([SentMessage(outbound_message, DeliveryReceipt(""), 0.0)])
        return await send(self, outbound_message, sent_at)

    patch(LaneWorker, "_send", sending)


def _same_key(patch: Patch) -> None:
    """Every attempt has another key."""
    message, email = OutboundMessage.message, OutboundMessage.email
    patch(OutboundMessage, "message", lambda self, at: replace(message(self, at), key=str(uuid4())))
    patch(OutboundMessage, "email", lambda self, at: replace(email(self, at), key=str(uuid4())))


def _polling(patch: Patch) -> None:
    """Workers poll only when they are woken."""
    hourly = tuple(replace(each, every_seconds=3600.0) for each in polling.POLLING_TASKS)
    patch(polling, "POLLING_TASKS", hourly)


def _attempts_given_back(patch: Patch) -> None:
    """Releasing an action counts as an attempt."""
    _rewrite(patch, "_RELEASE", "lease_token = NULL", "lease_token = NULL, attempts = attempts + 1")


def _lease_token(patch: Patch) -> None:
    """Any worker may report an action as done."""
    _rewrite(patch, "_FINISH", r" AND (a\.)?state = 'leased' AND (a\.)?lease_token = :token", "")


def _check_at_the_claim(patch: Patch) -> None:
    """No checks run when an action is due."""
    patch(ActionPlan, "_cancel_reason", lambda _self, _action, _now: None)
    patch(ActionPlan, "cancel_if_unreachable", lambda _self, _action, _now: False)


def _one_by_one(patch: Patch) -> None:
    """If a batch cannot be claimed, its items are not claimed one by one."""

    async def claim(self, company_id, lane, request):
        return await self.database.run(company_id, lambda uow: lane.claim(uow, request))

    patch(OutboxDispatcher, "_claim", claim)


def _turns(patch: Patch) -> None:
    """Companies are processed one after the other, each until no action is ready."""

    async def poll(self):
        due = await self.database.read_due_work(lambda reader: reader.due_work.companies_with_actions())
        if due and not self._tasks:
            self._begin(due[0])

    patch(OutboxDispatcher, "poll", poll)


def _retry_after(patch: Patch) -> None:
    """A receiver's Retry-After is ignored."""
    retry_delay = lane_worker.retry_delay
    patch(lane_worker, "retry_delay", lambda attempt, chance, _requested=None: retry_delay(attempt, chance))


def _deadlines(patch: Patch) -> None:
    """Transactions and checks of idle connections wait for the server without a limit."""
    connect = connections.connect
    patch(database, "connect", lambda engine, deadline: connect(engine, deadline + 86_400))
    patch(connections, "_PING_SECONDS", 86_400)


def _outages(patch: Patch) -> None:
    """Errors of a lack of resources are unexpected errors."""
    patch(database_errors, "_BY_SQLSTATE", {})


def _rewrite(patch: Patch, name: str, pattern: str, by: str) -> None:
    before = getattr(outbox, name).text
    after = re.sub(pattern, by, before)
    if after == before:
        raise LookupError(f"the pattern does not match {name}")
    patch(outbox, name, text(after))


GUARDS: Mapping[str, Callable[[Patch], None]] = {
    "actions in the move's transaction": _actions_in_the_moves_transaction,
    "event key": _event_key,
    "done after the call": _done_after_the_call,
    "same key": _same_key,
    "polling": _polling,
    "attempts given back": _attempts_given_back,
    "lease token": _lease_token,
    "check at the claim": _check_at_the_claim,
    "one by one": _one_by_one,
    "turns": _turns,
    "retry after": _retry_after,
    "deadlines": _deadlines,
    "outages": _outages,
}


@dataclass(frozen=True)
class _Undo:
    owner: Any
    name: str
    value: Any


@contextmanager
def without(*guards: str) -> Iterator[None]:
    """Removes guards in this process during a `with` block."""
    undoing: list[_Undo] = []

    def patch(owner: Any, name: str, value: Any) -> None:
        undoing.append(_Undo(owner, name, getattr(owner, name)))
        setattr(owner, name, value)

    try:
        for guard in guards:
            GUARDS[guard](patch)
        yield
    finally:
        for each in reversed(undoing):
            setattr(each.owner, each.name, each.value)


def main() -> None:
    """Runs the command in `sys.argv` with the faults that the environment variables define."""
    if fault := os.environ.get("JOURNEY_FAULT"):
        install_fault(fault)
    if seconds := os.environ.get("JOURNEY_POLL_SECONDS"):
        polling.POLLING_TASKS = tuple(
            replace(each, every_seconds=float(seconds)) for each in polling.POLLING_TASKS
        )
    for guard in filter(None, os.environ.get("JOURNEY_WITHOUT", "").split(",")):
        GUARDS[guard](setattr)
    if name := os.environ.get("JOURNEY_NAME"):
        webhooks._USER_AGENT = name  # type: ignore[misc]
    run_journey()
