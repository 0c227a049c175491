"""Taking actions out of the outbox and sending them: at least once each, under one key, and no company before others.

A parcel is sent by whoever holds its lease, renewed until the very moment of sending: a worker that was away for
longer finds that out before it does anything. What was sent by one that died before it could say so is sent again
under the same key, by which receivers know it.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final, TypeAlias

from journey_service.domain.actions.delivery import (
    FAILING_DAYS,
    DeliveryFailedError,
    DeliveryRefusedError,
    Mailer,
    Messenger,
    Receipt,
    pause_after,
)
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.errors import UnavailableError, is_database_outage
from journey_service.repositories.actions.outbox import Outcome
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.actions.delivery.outbound_messages import (
    ClaimedBatch,
    Lease,
    Links,
    OutboundMessage,
    SecretDecryptionError,
    TemplateRenderError,
    claim_due,
    claim_outbound_events,
)
from journey_service.services.batching import Batcher
from journey_service.services.jobs import new_token

LEASE_SECONDS: Final = 60.0
"""For how long a worker that fell silent is waited for; longer than any call may last."""
CONCURRENT_CALLS_PER_COMPANY: Final = 10
"""How many calls of a kind one worker has under way for one company at a time."""
LONGEST_CALL_SECONDS: Final = 20.0
_TURNS: Final = 32
_KINDS: Final = 3
_OURS: Final = (Channel.EMAIL, Channel.CALL, Channel.TASK, Channel.ASSIGNMENT)
"""What the service does itself, or by its mail server."""
_THEIRS: Final = (Channel.SMS, Channel.OFFER, Channel.CRM)
"""What the company's own systems do."""
MOST_CALLS: Final = _TURNS * CONCURRENT_CALLS_PER_COMPANY * 2
"""How many calls to companies' systems one worker makes at a time: actions and news."""
_SHARE_OF_ENDPOINT: Final = CONCURRENT_CALLS_PER_COMPANY // 2
"""How many news are in hand for one endpoint at a time, so that a slow one leaves room for others."""
_LOOK_SECONDS: Final = 1.0
_TAKEN_AT_ONCE: Final = 50
_RENEWALS: Final = 3
_GRACE_SECONDS: Final = 25.0
_PUBLISHED_AT_ONCE: Final = 500

SENDER_SIDE_ERRORS: Final = (TemplateRenderError, SecretDecryptionError)
"""Failures that say nothing of whoever was to get it."""

_LOGGER = logging.getLogger(__name__)

_Take: TypeAlias = Callable[..., Awaitable[ClaimedBatch]]
_Ready: TypeAlias = Callable[[UnitOfWork], Awaitable[list[str]]]


def longest_call(lease_seconds: float) -> float:
    """For how long a call may last under such a lease: it is over long before anybody else may begin another."""
    return min(LONGEST_CALL_SECONDS, lease_seconds / _RENEWALS)


@dataclass(frozen=True, slots=True)
class MessageSenders:
    """The ways out of the house; without a mailer there is none for mails."""

    messenger: Messenger
    mailer: Mailer | None = None
    links: Links = field(default_factory=Links)

    async def send(self, outbound_message: OutboundMessage) -> Receipt:
        """Send a parcel. Raises DeliveryFailedError, DeliveryRefusedError."""
        if outbound_message.channel is not Channel.EMAIL:
            return await self.messenger.send(outbound_message.message())
        if self.mailer is None:
            raise DeliveryFailedError("There is no mail server.")
        return await self.mailer.send(outbound_message.email())


@dataclass(slots=True)
class OutboxDispatcher:
    """Sees to the outboxes of all companies, a few companies beside each other, each with a share of its own."""

    database: Database
    senders: MessageSenders
    lease_seconds: float = LEASE_SECONDS
    grace_seconds: float = _GRACE_SECONDS
    on_ended: Callable[[], None] | None = None
    """Told when a turn has ended that others may have waited for."""
    _lanes: dict[tuple[int, int], asyncio.Task[bool]] = field(default_factory=dict)
    _served: dict[int, int] = field(default_factory=dict)
    _count: int = 0
    is_stopping: bool = False

    async def poll(self) -> None:
        """See to every company of which something is ready, as far as there is room.

        Whoever had none for longest is first, and among these whoever has waited longest.
        """
        due = await self.database.dispatch(lambda dispatch: dispatch.due.companies_with_actions())
        for company_id in sorted(due, key=lambda each: self._served.get(each, 0)):
            if self.is_stopping or self._is_full:
                return
            self._begin(company_id)

    def _begin(self, company_id: int) -> None:
        """Begin those lanes of a company that do not run already: they do not wait for each other."""
        self._count += 1
        self._served[company_id] = self._count
        for place, (unit, ready) in enumerate(self._kinds()):
            lane = company_id, place
            if lane not in self._lanes:
                task = asyncio.create_task(self._lane(company_id, unit, ready))
                self._lanes[lane] = task
                task.add_done_callback(partial(self._ended, lane))

    async def drain(self) -> None:
        """Look again and again until nothing is ready and nothing under way, or nothing more can be done."""
        is_moving = True
        while is_moving:
            await self.poll()
            is_moving = any(await asyncio.gather(*self._lanes.values()))

    async def close(self) -> None:
        """Take nothing more, let what is being sent end, and give back what is not being sent."""
        self.is_stopping = True
        turns = list(self._lanes.values())
        if turns:
            await asyncio.wait(turns, timeout=self.grace_seconds)
        for turn in turns:
            turn.cancel()
        await asyncio.gather(*turns, return_exceptions=True)

    @property
    def _is_full(self) -> bool:
        return len(self._lanes) >= _TURNS * _KINDS

    def _ended(self, lane: tuple[int, int], task: asyncio.Task[bool]) -> None:
        was_full = self._is_full
        self._lanes.pop(lane, None)
        # Somebody may have waited for room; and one lane may have left a customer to another.
        has_moved = not task.cancelled() and task.result()
        if (was_full or has_moved) and self.on_ended is not None:
            self.on_ended()

    async def _lane(self, company_id: int, unit: _Take, ready: _Ready) -> bool:
        """Send what is ready of some kinds, taking more as calls end, until nothing is or others wait for the room.

        A failure is told, and ends this lane only. Returns whether anything was seen to.
        """
        has_moved = False
        lane_worker = _LaneWorker(self, company_id, Lease(new_token(), self.lease_seconds))
        try:
            try:
                while not self.is_stopping:
                    claimed_batch = ClaimedBatch()
                    if lane_worker.has_room:
                        claimed_batch = await self._take(
                            company_id, lane_worker.lease, partial(unit, **lane_worker.told), ready
                        )
                        lane_worker.begin(claimed_batch.outbound_messages)
                        has_moved = has_moved or not claimed_batch.is_empty
                    if claimed_batch.is_empty and not lane_worker.is_busy:
                        break
                    if claimed_batch.is_empty or not lane_worker.has_room:
                        await lane_worker.wait_for_one()
                    if self._is_full:
                        break
            except asyncio.CancelledError:
                lane_worker.abandon()
                raise
            finally:
                await lane_worker.close()
        except UnavailableError as error:
            _LOGGER.warning("deliveries of company %d wait: %s", company_id, error)
            return False
        except Exception:
            _LOGGER.exception("deliveries of company %d failed", company_id)
            return False
        return has_moved

    def _kinds(self) -> tuple[tuple[_Take, _Ready], ...]:
        """How each kind of action is taken, and which of its kind are ready.

        What the service does itself, mails among it, does not wait for the company's systems, nor these for news.
        """
        actions = partial(claim_due, links=self.senders.links, has_mailer=self.senders.mailer is not None)
        return (
            *(
                (
                    partial(actions, limit=_TAKEN_AT_ONCE, channels=channels),
                    partial(_ready_actions, channels=channels),
                )
                for channels in (_OURS, _THEIRS)
            ),
            (partial(claim_outbound_events, share=_SHARE_OF_ENDPOINT), _ready_outbound_events),
        )

    async def _take(self, company_id: int, lease: Lease, unit: _Take, ready: _Ready) -> ClaimedBatch:
        """Take what is ready, together; where that fails, one by one, so that it costs the faulty ones only."""

        async def taking(uow: UnitOfWork, only: str | None = None) -> ClaimedBatch:
            return await unit(uow, lease=lease, only=only)

        try:
            return await self.database.run(company_id, taking)
        except Exception as error:
            if is_database_outage(error):
                raise
            _LOGGER.exception("taking actions of company %d failed; they are taken one by one", company_id)
        claimed_batch = ClaimedBatch()
        for id_ in await self.database.run(company_id, ready):
            try:
                one = await self.database.run(company_id, partial(taking, only=id_))
            except Exception as error:
                if is_database_outage(error):
                    raise
                await self._set_aside(company_id, id_, lease, error)
                one = ClaimedBatch(settled=1)
            claimed_batch.outbound_messages += one.outbound_messages
            claimed_batch.settled += one.settled
        return claimed_batch

    async def _set_aside(self, company_id: int, id_: str, lease: Lease, error: Exception) -> None:
        """An action that cannot even be looked at counts as one that failed: tried again, and dead in the end."""

        async def unit(uow: UnitOfWork) -> None:
            if not await uow.outbox.claim([id_], lease.token, lease.seconds):
                return
            made = (await uow.outbox.attempts_of([id_]))[id_]
            now = (await uow.companies.context()).now
            told = DeliveryFailedError(f"It cannot be decided: {type(error).__name__}")
            await uow.outbox.finish(lease.token, {id_: failed(made, now, told)})

        _LOGGER.error("action %s of company %d cannot be decided: %r", id_, company_id, error)
        await self.database.run(company_id, unit)


Result: TypeAlias = Receipt | DeliveryFailedError | DeliveryRefusedError


@dataclass(frozen=True, slots=True)
class _Sent:
    """A call that has ended: what it was about, how it came out, and how long it took."""

    outbound_message: OutboundMessage
    result: Result
    seconds: float


@dataclass(slots=True)
class _LaneWorker:
    """What one company has had taken of some kinds: sent a few beside each other, the leases kept meanwhile.

    Calls that begin, or end, at the same time are written down together.
    """

    dispatcher: OutboxDispatcher
    company_id: int
    lease: Lease
    _held: set[str] = field(default_factory=set)
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONCURRENT_CALLS_PER_COMPANY))
    _calls: set[asyncio.Task[None]] = field(default_factory=set)
    _begun: int = 0
    _news: Counter[int] = field(default_factory=Counter)
    _renewing: asyncio.Task[None] | None = None
    _keeping: Batcher[str, bool] = field(init=False)
    _ending: Batcher[_Sent, None] = field(init=False)

    def __post_init__(self) -> None:
        self._keeping, self._ending = Batcher(self._keep), Batcher(self._end)

    @property
    def is_busy(self) -> bool:
        """Whether anything is being sent, or waits for its turn."""
        return bool(self._calls)

    @property
    def has_room(self) -> bool:
        """Whether more may be taken: not with as much in hand as can be sent at a time."""
        return len(self._calls) - self._begun < CONCURRENT_CALLS_PER_COMPANY

    @property
    def told(self) -> Mapping[str, Collection[int]]:
        """What taking more has to know: the endpoints that have enough news in hand."""
        busy = [id_ for id_, number in self._news.items() if number >= _SHARE_OF_ENDPOINT]
        return {"without": busy} if self._news else {}

    def begin(self, outbound_messages: Sequence[OutboundMessage]) -> None:
        """Send these, as far as there is room, and then one after the other."""
        self._held |= {outbound_message.id for outbound_message in outbound_messages}
        told_of = [_endpoint_of(outbound_message) for outbound_message in outbound_messages]
        self._news.update(id_ for id_ in told_of if id_ is not None)
        self._calls |= {
            asyncio.create_task(self._see_to(outbound_message)) for outbound_message in outbound_messages
        }
        if outbound_messages and self._renewing is None:
            self._renewing = asyncio.create_task(self._keep_all())

    async def wait_for_one(self) -> None:
        """Wait until a call has ended, or for a moment. Raises what kept one from being written down."""
        if not self._calls:
            return
        ended, self._calls = await asyncio.wait(
            self._calls, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        for call in ended:
            call.result()

    def abandon(self) -> None:
        """Break off what is being sent: there is no more time."""
        for call in self._calls:
            call.cancel()

    async def close(self) -> None:
        """Let what is being sent end, and give back what is not. Raises what kept a call from being written down."""
        try:
            # Whoever fails, the others come to their end: what is given back must not be under way.
            ends = await asyncio.gather(*self._calls, return_exceptions=True)
        finally:
            if self._renewing is not None:
                self._renewing.cancel()
                await asyncio.gather(self._renewing, return_exceptions=True)
            if self._held:
                # Somebody else may go on at once, without waiting for the leases to run out.
                await asyncio.shield(self._give_back())
        for failure in ends:
            if failure is not None:
                raise failure

    async def _keep_all(self) -> None:
        while True:
            await asyncio.sleep(self.lease.seconds / _RENEWALS)
            with suppress(UnavailableError):
                await self._keep(sorted(self._held))

    async def _see_to(self, outbound_message: OutboundMessage) -> None:
        try:
            async with self._room:
                await self._call(outbound_message)
        finally:
            endpoint_id = _endpoint_of(outbound_message)
            if endpoint_id is not None:
                self._news[endpoint_id] -= 1

    async def _call(self, outbound_message: OutboundMessage) -> None:
        if self.dispatcher.is_stopping:
            return  # given back in the end
        self._begun += 1
        try:
            if not await self._keeping.submit(outbound_message.id):
                self._held.discard(outbound_message.id)
                return  # somebody else's by now
            began = time.monotonic()
            result = await self._send(outbound_message)
            await self._ending.submit(_Sent(outbound_message, result, time.monotonic() - began))
            self._held.discard(outbound_message.id)
        finally:
            self._begun -= 1

    async def _send(self, outbound_message: OutboundMessage) -> Result:
        try:
            return await self.dispatcher.senders.send(outbound_message)
        except (DeliveryFailedError, DeliveryRefusedError) as error:
            return error
        except Exception as error:
            _LOGGER.exception("sending action %s of company %d failed", outbound_message.id, self.company_id)
            return DeliveryFailedError(f"It cannot be sent: {type(error).__name__}")

    async def _keep(self, ids: Sequence[str]) -> Sequence[bool]:
        """Renew leases; whether each is still held."""

        async def unit(uow: UnitOfWork) -> set[str]:
            return await uow.outbox.renew(ids, self.lease.token, self.lease.seconds)

        held = await self.dispatcher.database.run(self.company_id, unit)
        return [id_ in held for id_ in ids]

    async def _end(self, sent: Sequence[_Sent]) -> Sequence[None]:
        """Write down what came of calls, and what that says about the endpoints."""

        async def unit(uow: UnitOfWork) -> None:
            now = (await uow.companies.context()).now
            outcomes = {each.outbound_message.id: _outcome(each, now) for each in sent}
            ours = await uow.outbox.finish(self.lease.token, outcomes)
            await _note(uow, [each for each in sent if each.outbound_message.id in ours])

        await self.dispatcher.database.run(self.company_id, unit)
        return [None] * len(sent)

    async def _give_back(self) -> None:
        async def unit(uow: UnitOfWork) -> None:
            await uow.outbox.release(sorted(self._held), self.lease.token)

        with suppress(UnavailableError):  # then the leases have to run out
            await self.dispatcher.database.run(self.company_id, unit)


def _endpoint_of(outbound_message: OutboundMessage) -> int | None:
    """The endpoint that news are for; actions have a lane of their own."""
    is_outbound_event = outbound_message.channel is Channel.WEBHOOK and outbound_message.endpoint is not None
    return (
        outbound_message.endpoint.id if is_outbound_event and outbound_message.endpoint is not None else None
    )


async def _ready_actions(uow: UnitOfWork, channels: Sequence[Channel]) -> list[str]:
    found = await uow.outbox.candidates(channels, limit=_TAKEN_AT_ONCE)
    return [candidate.id for candidate in found]


async def _ready_outbound_events(uow: UnitOfWork) -> list[str]:
    return await uow.outbox.ready_outbound_events(limit=_TAKEN_AT_ONCE)


def _outcome(sent: _Sent, now: datetime) -> Outcome:
    result = sent.result
    if isinstance(result, Receipt):
        return Outcome("done", now, sent.seconds, result.answer, result.status)
    if isinstance(result, DeliveryRefusedError):
        return Outcome("dead", now, sent.seconds, result.reason, result.status, is_refused=True)
    return failed(sent.outbound_message.attempts, now, result, sent.seconds)


def failed(made: int, now: datetime, error: DeliveryFailedError, seconds: float = 0.0) -> Outcome:
    """The outcome of an attempt that came to nothing, after `made` others: tried again, or dead."""
    pause = pause_after(made + 1, random.random(), error.retry_after)  # noqa: S311  # no secret
    if pause is None:
        return Outcome("dead", now, seconds, error.reason, error.status)
    return Outcome("pending", now, seconds, error.reason, error.status, pause)


async def _note(uow: UnitOfWork, sent: Sequence[_Sent]) -> None:
    """What calls say about the endpoints they went to: one that takes nothing more is told nothing more."""
    by_endpoint: dict[int, list[Result]] = {}
    for each in sent:
        if each.outbound_message.endpoint is not None and not isinstance(each.result, SENDER_SIDE_ERRORS):
            by_endpoint.setdefault(each.outbound_message.endpoint.id, []).append(each.result)
    for endpoint_id, results in sorted(by_endpoint.items()):
        is_gone = any(isinstance(each, DeliveryRefusedError) and each.is_gone for each in results)
        if any(isinstance(each, Receipt) for each in results) and not is_gone:
            await uow.endpoints.note_success(endpoint_id)
        elif not await uow.endpoints.note_failure(endpoint_id, days=FAILING_DAYS, is_gone=is_gone):
            await uow.outbox.cancel_of_endpoint(endpoint_id)


async def publish(database: Database, company_id: int) -> int:
    """Put the news of a company in order, and have them delivered to its endpoints; returns how many there were."""

    async def unit(uow: UnitOfWork) -> int:
        context = await uow.companies.context()
        delivers = context.company.clock_at is None or context.company.delivers
        return await uow.outbound_events.publish(limit=_PUBLISHED_AT_ONCE, now=context.now, delivers=delivers)

    published = 0
    while some := await database.run(company_id, unit):
        published += some
        if some < _PUBLISHED_AT_ONCE:
            break
    return published


async def publish_due(database: Database) -> int:
    """Publish the news of every company that has any; one whose turn fails does not hold up the others."""
    published = 0
    for company_id in await database.dispatch(lambda dispatch: dispatch.due.companies_with_outbound_events()):
        try:
            published += await publish(database, company_id)
        except UnavailableError:
            raise
        except Exception:
            _LOGGER.exception("publishing the news of company %d failed", company_id)
    return published
