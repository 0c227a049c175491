"""Dispatches the outboxes of all companies: at-least-once delivery under one key, with a fair share per company.

A message is sent by the worker that holds its lease, which is renewed immediately before the call. If a worker dies
after a call and before its outcome is recorded, the message is sent again with the same key, so that receivers can
discard the duplicate.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final, TypeAlias

from journey_service.domain.actions.delivery import DeliveryFailedError, DeliveryReceipt, Mailer, Messenger
from journey_service.domain.actions.stage_actions import MAIL_CHANNELS, Channel
from journey_service.domain.errors import UnavailableError, is_database_outage
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.actions.delivery import claims
from journey_service.services.actions.delivery.claims import ClaimedBatch, ClaimRequest, Lease
from journey_service.services.actions.delivery.lane_worker import (
    CONCURRENT_CALLS_PER_COMPANY,
    MESSAGES_PER_ENDPOINT,
    RENEWALS_PER_LEASE,
    LaneWorker,
    failed_outcome,
)
from journey_service.services.actions.delivery.outbound_messages import Links, OutboundMessage
from journey_service.services.jobs import new_token

LEASE_SECONDS: Final = 60.0
"""Length of a lease. Messages of a worker that stopped renewing are claimed by others after it."""
MAX_CALL_SECONDS: Final = 20.0
"""Maximum duration of a call; shorter with short leases, see `max_call_seconds`."""
_MAX_COMPANIES: Final = 24
"""Companies dispatched concurrently by one worker; further companies wait."""
_LANES_PER_COMPANY: Final = 3
_EXTERNAL_LANES_PER_COMPANY: Final = 2
MAX_CONCURRENT_CALLS: Final = _MAX_COMPANIES * CONCURRENT_CALLS_PER_COMPANY * _EXTERNAL_LANES_PER_COMPANY
"""Concurrent calls of one worker to companies' systems: actions and outbound events."""
_OWN_CHANNELS: Final = (*MAIL_CHANNELS, Channel.CALL, Channel.TASK, Channel.ASSIGNMENT)
"""Channels of the service itself and its mail server."""
_COMPANY_CHANNELS: Final = (Channel.SMS, Channel.OFFER, Channel.CRM)
"""Channels delivered by the company's own systems."""
_CLAIM_BATCH_SIZE: Final = 50
"""Actions claimed by one transaction."""
_GRACE_SECONDS: Final = 25.0
"""Seconds that calls in progress may take to end when the worker stops; they are cancelled afterwards."""

_LOGGER = logging.getLogger(__name__)

Claim: TypeAlias = Callable[[UnitOfWork, ClaimRequest], Awaitable[ClaimedBatch]]
ListDue: TypeAlias = Callable[[UnitOfWork], Awaitable[list[str]]]


def max_call_seconds(lease_seconds: float) -> float:
    """Returns the maximum duration of a call under a lease: it ends before another worker may repeat it."""
    return min(MAX_CALL_SECONDS, lease_seconds / RENEWALS_PER_LEASE)


@dataclass(frozen=True, slots=True)
class MessageSenders:
    """Senders for outbound messages. `mailer` is None if no mail server is configured."""

    messenger: Messenger
    mailer: Mailer | None = None
    links: Links = field(default_factory=Links)

    async def send(self, outbound_message: OutboundMessage, sent_at: datetime) -> DeliveryReceipt:
        """Sends a message by its channel, dated `sent_at`. Raises DeliveryFailedError, DeliveryRefusedError."""
        if outbound_message.channel not in MAIL_CHANNELS:
            return await self.messenger.send(outbound_message.message(sent_at))
        if self.mailer is None:
            raise DeliveryFailedError("No mail server is configured.")
        return await self.mailer.send(outbound_message.email(sent_at))


@dataclass(frozen=True, slots=True)
class _Lane:
    """One kind of message: how it is claimed, and how the ids of the due ones are listed."""

    claim: Claim
    list_due: ListDue


@dataclass(slots=True)
class OutboxDispatcher:
    """Dispatches the outboxes of several companies concurrently, each within its own share."""

    database: Database
    senders: MessageSenders
    lease_seconds: float = LEASE_SECONDS
    grace_seconds: float = _GRACE_SECONDS
    on_ended: Callable[[], None] | None = None
    """Called when a lane has ended, because others may wait for its slot."""
    _tasks: dict[tuple[int, int], asyncio.Task[bool]] = field(default_factory=dict)
    _last_served: dict[int, int] = field(default_factory=dict)
    _count: int = 0
    is_stopping: bool = False

    async def poll(self) -> None:
        """Starts the lanes of companies with due messages, up to the maximum number of companies.

        The company that was served least recently is first; among equals, the one that has waited longest.
        """
        due = await self._list_due_companies()
        for company_id in sorted(due, key=lambda each: self._last_served.get(each, 0)):
            if self.is_stopping or self._is_full:
                return
            self._begin(company_id)

    async def drain(self) -> None:
        """Polls until nothing is due and nothing is in progress, or nothing more can be done."""
        has_progress = True
        while has_progress:
            await self.poll()
            has_progress = any(await asyncio.gather(*self._tasks.values()))

    async def drain_company(self, company_id: int) -> None:
        """Sends what is due in one company until nothing is left, or nothing more can be done."""
        has_progress = True
        while has_progress and company_id in await self._list_due_companies():
            self._begin(company_id)
            running = [task for (id_, _), task in self._tasks.items() if id_ == company_id]
            has_progress = any(await asyncio.gather(*running))

    async def _list_due_companies(self) -> list[int]:
        return await self.database.read_due_work(lambda reader: reader.due_work.companies_with_actions())

    async def close(self) -> None:
        """Stops claiming, waits for the calls in progress, and releases what was not sent."""
        self.is_stopping = True
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=self.grace_seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _is_full(self) -> bool:
        return len(self._tasks) >= _MAX_COMPANIES * _LANES_PER_COMPANY

    def _begin(self, company_id: int) -> None:
        """Starts the lanes of a company that are not running; lanes do not wait for each other."""
        self._count += 1
        self._last_served[company_id] = self._count
        for number, lane in enumerate(self._lanes()):
            key = company_id, number
            if key not in self._tasks:
                task = asyncio.create_task(self._run_lane(company_id, lane))
                self._tasks[key] = task
                task.add_done_callback(partial(self._ended, key))

    def _ended(self, key: tuple[int, int], task: asyncio.Task[bool]) -> None:
        was_full = self._is_full
        self._tasks.pop(key, None)
        # Another company may wait for a slot, and another lane for a customer that this lane had locked.
        has_progress = not task.cancelled() and task.result()
        if (was_full or has_progress) and self.on_ended is not None:
            self.on_ended()

    async def _run_lane(self, company_id: int, lane: _Lane) -> bool:
        """Claims and sends messages of one lane until nothing is due or other companies wait for room.

        A failure is logged and ends this lane only. Returns whether anything was processed.
        """
        lease = Lease(new_token(), self.lease_seconds)
        worker = LaneWorker(self.database, company_id, lease, self.senders.send, lambda: self.is_stopping)
        try:
            try:
                return await self._work(worker, company_id, lane, lease)
            except asyncio.CancelledError:
                worker.abandon()
                raise
            finally:
                await worker.close()
        except UnavailableError as error:
            _LOGGER.warning("deliveries of company %d are delayed: %s", company_id, error)
        except Exception:
            _LOGGER.exception("deliveries of company %d failed", company_id)
        return False

    async def _work(self, worker: LaneWorker, company_id: int, lane: _Lane, lease: Lease) -> bool:
        has_progress = False
        while not self.is_stopping:
            claimed = ClaimedBatch()
            if worker.has_room:
                request = ClaimRequest(lease, busy_endpoints=worker.busy_endpoints)
                claimed = await self._claim(company_id, lane, request)
                worker.begin(claimed.outbound_messages)
                has_progress = has_progress or not claimed.is_empty
            if claimed.is_empty and not worker.is_busy:
                break
            if claimed.is_empty or not worker.has_room:
                await worker.wait_for_one()
            if self._is_full:
                break
        return has_progress

    def _lanes(self) -> tuple[_Lane, ...]:
        """Returns the lanes of a company.

        Emails and internal actions do not wait for the company's systems, nor these for outbound events.
        """
        return (
            self._action_lane(_OWN_CHANNELS),
            self._action_lane(_COMPANY_CHANNELS),
            _Lane(_claim_outbound_events, _list_due_outbound_events),
        )

    def _action_lane(self, channels: Sequence[Channel]) -> _Lane:
        senders = self.senders

        async def claim(uow: UnitOfWork, request: ClaimRequest) -> ClaimedBatch:
            return await claims.claim_due(
                uow,
                request,
                channels=channels,
                limit=_CLAIM_BATCH_SIZE,
                links=senders.links,
                has_mailer=senders.mailer is not None,
            )

        async def list_due(uow: UnitOfWork) -> list[str]:
            return await claims.list_due(uow, channels, limit=_CLAIM_BATCH_SIZE)

        return _Lane(claim, list_due)

    async def _claim(self, company_id: int, lane: _Lane, request: ClaimRequest) -> ClaimedBatch:
        """Claims what is due in one transaction; if that fails, one by one, so that only the failing ones are lost."""
        try:
            return await self.database.run(company_id, lambda uow: lane.claim(uow, request))
        except Exception as error:
            if is_database_outage(error):
                raise
            _LOGGER.exception("claiming actions of company %d failed; claiming them one by one", company_id)
        claimed = ClaimedBatch()
        for id_ in await self.database.run(company_id, lane.list_due):
            batch = await self._claim_one(company_id, lane, request.lease, id_)
            claimed.outbound_messages += batch.outbound_messages
            claimed.settled += batch.settled
        return claimed

    async def _claim_one(self, company_id: int, lane: _Lane, lease: Lease, id_: str) -> ClaimedBatch:
        request = ClaimRequest(lease, only=id_)
        try:
            return await self.database.run(company_id, lambda uow: lane.claim(uow, request))
        except Exception as error:
            if is_database_outage(error):
                raise
            await self._fail(company_id, id_, lease, error)
            return ClaimedBatch(settled=1)

    async def _fail(self, company_id: int, id_: str, lease: Lease, error: Exception) -> None:
        """Records a failed attempt for an action that cannot be claimed: retried, and dead after the last attempt."""

        async def unit(uow: UnitOfWork) -> None:
            if not await uow.outbox.claim([id_], lease.token, lease.seconds):
                return
            attempts = (await uow.outbox.get_attempt_counts([id_]))[id_]
            now = (await uow.companies.get_context()).now
            failure = DeliveryFailedError(f"The action could not be claimed: {type(error).__name__}")
            await uow.outbox.finish(lease.token, {id_: failed_outcome(attempts, now, failure)})

        _LOGGER.error("action %s of company %d cannot be claimed: %r", id_, company_id, error)
        await self.database.run(company_id, unit)


async def _claim_outbound_events(uow: UnitOfWork, request: ClaimRequest) -> ClaimedBatch:
    return await claims.claim_outbound_events(uow, request, share=MESSAGES_PER_ENDPOINT)


async def _list_due_outbound_events(uow: UnitOfWork) -> list[str]:
    return await uow.outbox.list_due_outbound_events(limit=_CLAIM_BATCH_SIZE)
