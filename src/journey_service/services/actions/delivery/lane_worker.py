"""Sends the claimed messages of one company concurrently, renews their leases, and records the outcomes."""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

from opentelemetry.trace import SpanKind

from journey_service.domain.access.actors import DELIVERY
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.delivery import (
    FAILING_DAYS,
    DeliveryFailedError,
    DeliveryReceipt,
    DeliveryRefusedError,
    retry_delay,
)
from journey_service.domain.actions.stage_actions import Channel
from journey_service.domain.errors import UnavailableError
from journey_service.repositories.actions.outbox import AttemptOutcome
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.actions.delivery.claims import Lease
from journey_service.services.actions.delivery.outbound_messages import (
    OutboundMessage,
    SecretDecryptionError,
    TemplateRenderError,
)
from journey_service.services.batching import Batcher
from journey_service.services.tracing import background_span, set_failed

CONCURRENT_CALLS_PER_COMPANY: Final = 16
"""Concurrent calls of one lane of a company in one worker; further messages wait."""
MESSAGES_PER_ENDPOINT: Final = CONCURRENT_CALLS_PER_COMPANY // 2
"""Outbound events in progress for one endpoint, so that a slow endpoint leaves room for the others."""
RENEWALS_PER_LEASE: Final = 3
"""How often a lease is renewed within its length."""
SENDER_SIDE_ERRORS: Final = (TemplateRenderError, SecretDecryptionError)
"""Failures that do not count against the endpoint."""
_WAIT_SECONDS: Final = 1.0
"""Maximum wait for the end of a call before the outbox is polled again."""

_LOGGER = logging.getLogger(__name__)

DeliveryResult: TypeAlias = DeliveryReceipt | DeliveryFailedError | DeliveryRefusedError


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A finished call: its message, its result, and its duration."""

    outbound_message: OutboundMessage
    result: DeliveryResult
    seconds: float


@dataclass(slots=True)
class LaneWorker:
    """Sends the messages that one lane of a company has claimed, under one lease.

    Lease renewals and outcomes of calls that begin or end at the same time share a transaction.
    """

    database: Database
    company_id: int
    lease: Lease
    send: Callable[[OutboundMessage, datetime], Awaitable[DeliveryReceipt]]
    is_stopping: Callable[[], bool]
    _held: set[str] = field(default_factory=set)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONCURRENT_CALLS_PER_COMPANY))
    _calls: set[asyncio.Task[None]] = field(default_factory=set)
    _running: int = 0
    _by_endpoint: Counter[int] = field(default_factory=Counter)
    _renewing: asyncio.Task[None] | None = None
    _renewals: Batcher[str, datetime | None] = field(init=False)
    _outcomes: Batcher[SentMessage, None] = field(init=False)

    def __post_init__(self) -> None:
        self._renewals, self._outcomes = Batcher(self._renew), Batcher(self._record)

    @property
    def is_busy(self) -> bool:
        """Whether any message is being sent or waits for a slot."""
        return bool(self._calls)

    @property
    def has_room(self) -> bool:
        """Whether to claim more: fewer messages wait than can be sent at a time."""
        return len(self._calls) - self._running < CONCURRENT_CALLS_PER_COMPANY

    @property
    def busy_endpoints(self) -> Collection[int]:
        """Endpoints that have `MESSAGES_PER_ENDPOINT` messages in progress."""
        return [id_ for id_, number in self._by_endpoint.items() if number >= MESSAGES_PER_ENDPOINT]

    def begin(self, outbound_messages: Sequence[OutboundMessage]) -> None:
        """Begins to send messages: as many at once as there are slots, the others afterwards."""
        self._held |= {outbound_message.id for outbound_message in outbound_messages}
        endpoints = [_event_endpoint(outbound_message) for outbound_message in outbound_messages]
        self._by_endpoint.update(id_ for id_ in endpoints if id_ is not None)
        self._calls |= {
            asyncio.create_task(self._process(outbound_message)) for outbound_message in outbound_messages
        }
        if outbound_messages and self._renewing is None:
            self._renewing = asyncio.create_task(self._renew_all())

    async def wait_for_one(self) -> None:
        """Waits until a call ends, for at most a second. Raises what kept its outcome from being recorded."""
        if not self._calls:
            return
        ended, self._calls = await asyncio.wait(
            self._calls, timeout=_WAIT_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        for call in ended:
            call.result()

    def abandon(self) -> None:
        """Cancels all calls."""
        for call in self._calls:
            call.cancel()

    async def close(self) -> None:
        """Waits for the calls in progress and releases what was not sent.

        Raises what kept an outcome from being recorded.
        """
        try:
            # The others end even if one has failed: a released message must not be in progress.
            results = await asyncio.gather(*self._calls, return_exceptions=True)
        finally:
            if self._renewing is not None:
                self._renewing.cancel()
                await asyncio.gather(self._renewing, return_exceptions=True)
            if self._held:
                # Another worker can claim them at once instead of waiting for the leases to expire.
                await asyncio.shield(self._release())
        for failure in results:
            if failure is not None:
                raise failure

    async def _renew_all(self) -> None:
        while True:
            await asyncio.sleep(self.lease.seconds / RENEWALS_PER_LEASE)
            with suppress(UnavailableError):
                await self._renew(sorted(self._held))

    async def _process(self, outbound_message: OutboundMessage) -> None:
        try:
            async with self._slots:
                await self._call(outbound_message)
        finally:
            endpoint_id = _event_endpoint(outbound_message)
            if endpoint_id is not None:
                self._by_endpoint[endpoint_id] -= 1

    async def _call(self, outbound_message: OutboundMessage) -> None:
        if self.is_stopping():
            return  # close() releases it
        self._running += 1
        try:
            # Renewed immediately before the call: a worker that was suspended learns that it has lost the lease.
            renewed_at = await self._renewals.submit(outbound_message.id)
            if renewed_at is None:
                self._held.discard(outbound_message.id)
                return
            began = time.monotonic()
            result = await self._send(outbound_message, renewed_at)
            await self._outcomes.submit(SentMessage(outbound_message, result, time.monotonic() - began))
            self._held.discard(outbound_message.id)
        finally:
            self._running -= 1

    async def _send(self, outbound_message: OutboundMessage, sent_at: datetime) -> DeliveryResult:
        with background_span(
            f"deliver {outbound_message.channel.value}",
            kind=SpanKind.CLIENT,
            company_id=self.company_id,
            action_id=outbound_message.id,
            attempt=outbound_message.attempts + 1,
        ) as span:
            result = await self._try_to_send(outbound_message, sent_at)
            if result.status is not None:
                span.set_attribute("http.response.status_code", result.status)
            if not isinstance(result, DeliveryReceipt):
                set_failed(span, type(result).__name__)
            return result

    async def _try_to_send(self, outbound_message: OutboundMessage, sent_at: datetime) -> DeliveryResult:
        try:
            return await self.send(outbound_message, sent_at)
        except (DeliveryFailedError, DeliveryRefusedError) as error:
            return error
        except Exception as error:
            _LOGGER.exception("sending action %s of company %d failed", outbound_message.id, self.company_id)
            return DeliveryFailedError(f"The message could not be sent: {type(error).__name__}")

    async def _renew(self, ids: Sequence[str]) -> Sequence[datetime | None]:
        """Renews leases; returns for each the time by the clock of the database, or None if it is no longer held."""

        async def unit(uow: UnitOfWork) -> dict[str, datetime]:
            return await uow.outbox.renew(ids, self.lease.token, self.lease.seconds)

        renewed = await self.database.run(self.company_id, unit)
        return [renewed.get(id_) for id_ in ids]

    async def _record(self, sent_messages: Sequence[SentMessage]) -> Sequence[None]:
        """Records the outcomes of calls, and the successes and failures of their endpoints."""

        async def unit(uow: UnitOfWork) -> None:
            now = (await uow.companies.get_context()).now
            outcomes = {sent.outbound_message.id: _outcome(sent, now) for sent in sent_messages}
            recorded = await uow.outbox.finish(self.lease.token, outcomes)
            await _record_endpoints(
                uow, [sent for sent in sent_messages if sent.outbound_message.id in recorded]
            )

        await self.database.run(self.company_id, unit)
        for sent in sent_messages:
            if not isinstance(sent.result, DeliveryReceipt):
                self._log_failure(sent.outbound_message, sent.result)
        return [None] * len(sent_messages)

    def _log_failure(
        self, outbound_message: OutboundMessage, error: DeliveryFailedError | DeliveryRefusedError
    ) -> None:
        """Logs a failed attempt. A receiver's response is left out: it may contain personal data."""
        endpoint = outbound_message.endpoint
        _LOGGER.warning(
            "attempt %d of action %s (%s%s) of company %d %s: %s",
            outbound_message.attempts + 1,
            outbound_message.id,
            outbound_message.channel.value,
            "" if endpoint is None else f", endpoint {endpoint.id}",
            self.company_id,
            "was refused" if isinstance(error, DeliveryRefusedError) else "failed",
            error.reason if error.status is None else f"status {error.status}",
        )

    async def _release(self) -> None:
        async def unit(uow: UnitOfWork) -> None:
            await uow.outbox.release(sorted(self._held), self.lease.token)

        with suppress(UnavailableError):  # the leases expire instead
            await self.database.run(self.company_id, unit)


def failed_outcome(
    attempts: int, now: datetime, error: DeliveryFailedError, seconds: float = 0.0
) -> AttemptOutcome:
    """Returns the outcome of a failed attempt after `attempts` earlier ones: retried, or dead after the last."""
    pause = retry_delay(attempts + 1, random.random(), error.retry_after)  # noqa: S311  # not a secret
    if pause is None:
        return AttemptOutcome("dead", now, seconds, error.reason, error.status)
    return AttemptOutcome("pending", now, seconds, error.reason, error.status, pause)


def _outcome(sent: SentMessage, now: datetime) -> AttemptOutcome:
    result = sent.result
    if isinstance(result, DeliveryReceipt):
        return AttemptOutcome("done", now, sent.seconds, result.response, result.status)
    if isinstance(result, DeliveryRefusedError):
        return AttemptOutcome("dead", now, sent.seconds, result.reason, result.status, is_refused=True)
    return failed_outcome(sent.outbound_message.attempts, now, result, sent.seconds)


def _event_endpoint(outbound_message: OutboundMessage) -> int | None:
    """Returns the endpoint of an outbound event; None for actions, which have lanes of their own."""
    endpoint = outbound_message.endpoint
    return endpoint.id if outbound_message.channel is Channel.WEBHOOK and endpoint is not None else None


async def _record_endpoints(uow: UnitOfWork, sent_messages: Sequence[SentMessage]) -> None:
    """Records successes and failures of endpoints; disables those that no longer accept messages."""
    by_endpoint: dict[int, list[DeliveryResult]] = {}
    for sent in sent_messages:
        endpoint = sent.outbound_message.endpoint
        if endpoint is not None and not isinstance(sent.result, SENDER_SIDE_ERRORS):
            by_endpoint.setdefault(endpoint.id, []).append(sent.result)
    for endpoint_id, results in sorted(by_endpoint.items()):
        is_gone = any(isinstance(result, DeliveryRefusedError) and result.is_gone for result in results)
        if any(isinstance(result, DeliveryReceipt) for result in results) and not is_gone:
            await uow.webhook_endpoints.record_success(endpoint_id)
        else:
            failure = await uow.webhook_endpoints.record_failure(
                endpoint_id, days=FAILING_DAYS, is_gone=is_gone
            )
            if not failure.is_enabled:
                await uow.outbox.cancel_by_endpoint(endpoint_id)
            if failure.disabled_reason is not None:
                await _report_disabled(uow, endpoint_id, failure.disabled_reason)


async def _report_disabled(uow: UnitOfWork, endpoint_id: int, reason: str) -> None:
    """Reports an endpoint that the service has disabled: in the audit log, and to the company's other endpoints."""
    await uow.audit_log.record(
        DELIVERY, AuditEntry("endpoint.disable", target=f"endpoint:{endpoint_id}", detail={"reason": reason})
    )
    await uow.outbound_events.add_disabled_endpoint(endpoint_id)
    _LOGGER.warning("endpoint %d of company %d is disabled: %s", endpoint_id, uow.company_id, reason)
