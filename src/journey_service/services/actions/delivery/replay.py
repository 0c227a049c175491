"""Replay: sends a webhook endpoint the outbound events again that it has missed.

A message keeps its id, so a receiver recognizes an event that it has already processed.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from journey_service.domain.access.actors import Actor
from journey_service.domain.access.records import AuditEntry
from journey_service.domain.actions.errors import EndpointDisabledError, EndpointNotFoundError
from journey_service.domain.actions.records import ReplayRequest
from journey_service.domain.errors import IdempotencyKeyReusedError
from journey_service.domain.operations.records import Job
from journey_service.repositories.database import Database
from journey_service.repositories.unit_of_work import UnitOfWork
from journey_service.services.jobs import LEASE_SECONDS, InlineJob, JobRun, PageResult, new_token, run_inline

REPLAY_JOB: Final = "replay_events"
MAX_REPLAYED_EVENTS: Final = 10_000
"""Events that one request sends again, the oldest first; the response contains the time from which to continue."""
_TIMEOUT_MS: Final = 30_000


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay: its job, the events that it sends again, and the time from which to continue, if there are more."""

    job: Job
    count: int
    next_since: str | None


async def replay_events(
    database: Database,
    company_id: int,
    endpoint_id: int,
    *,
    since: datetime,
    includes_delivered: bool,
    key: str | None,
    by: Actor,
) -> Replay:
    """Sends an endpoint the events since a time again; with the same key, returns the first request's replay.

    Raises EndpointNotFoundError, EndpointDisabledError, IdempotencyKeyReusedError.
    """
    parameters = {
        "endpoint_id": endpoint_id,
        "since": since.isoformat(),
        "includes_delivered": includes_delivered,
    }
    request_hash = hashlib.sha256(orjson.dumps(parameters, option=orjson.OPT_SORT_KEYS)).digest()

    request = None if key is None else (key, request_hash)

    async def unit(uow: UnitOfWork) -> InlineJob:
        endpoint = await uow.webhook_endpoints.find(endpoint_id)
        if endpoint is None:
            raise EndpointNotFoundError(endpoint_id)
        earlier = await _find_earlier(uow, request)
        if earlier is not None:
            await uow.audit_log.record_operator_access(by, "replay_webhook_events")
            return InlineJob(earlier, None)
        if not endpoint.is_enabled:
            raise EndpointDisabledError(endpoint_id)
        return await _enqueue(uow, parameters, request, by)

    inline_job = await database.run(company_id, unit)
    return _to_replay(
        await run_inline(
            database,
            company_id,
            inline_job,
            run_replay,
            lease_seconds=LEASE_SECONDS,
            timeout_seconds=None,
        )
    )


async def _find_earlier(uow: UnitOfWork, request: tuple[str, bytes] | None) -> Job | None:
    """Returns the job of an earlier request with the same key. Raises IdempotencyKeyReusedError."""
    if request is None:
        return None
    key, request_hash = request
    earlier = await uow.jobs.find_by_request(REPLAY_JOB, key)
    if earlier is not None and earlier[1] != request_hash:
        raise IdempotencyKeyReusedError
    return None if earlier is None else earlier[0]


async def _enqueue(
    uow: UnitOfWork, parameters: Mapping[str, object], request: tuple[str, bytes] | None, by: Actor
) -> InlineJob:
    """Enqueues the job, and claims it for this process."""
    job_id = await uow.jobs.enqueue(REPLAY_JOB, parameters, actor=by.name, request=request)
    detail = {"since": parameters["since"], "job_id": job_id}
    target = f"endpoint:{parameters['endpoint_id']}"
    await uow.audit_log.record(by, AuditEntry("endpoint.replay", target=target, detail=detail))
    token = new_token()
    await uow.jobs.claim(job_id, token, LEASE_SECONDS)
    job = await uow.jobs.find(job_id)
    assert job is not None  # it was just written
    return InlineJob(job, token)


async def run_replay(run: JobRun) -> None:
    """Job handler: makes the deliveries due again, in one transaction."""
    parameters = run.job.parameters

    async def page(uow: UnitOfWork) -> PageResult:
        context = await uow.companies.get_context()
        endpoint = await uow.webhook_endpoints.find(parameters["endpoint_id"])
        request = ReplayRequest(
            parameters["endpoint_id"],
            () if endpoint is None else endpoint.events,
            datetime.fromisoformat(parameters["since"]),
            includes_delivered=parameters["includes_delivered"],
        )
        replayed = await uow.outbound_events.replay(
            request,
            limit=MAX_REPLAYED_EVENTS,
            now=context.now,
            delivers_messages=context.company.clock_at is None or context.company.delivers_messages,
        )
        next_since = None if replayed.next_since is None else replayed.next_since.isoformat()
        return PageResult({"next_since": next_since}, {"replayed": replayed.count}, done=replayed.count)

    if "next_since" not in run.cursor:
        await run.page(page, timeout_ms=_TIMEOUT_MS)
    await run.set_result({"next_since": run.cursor["next_since"]})


def _to_replay(job: Job) -> Replay:
    result: Mapping[str, Any] = job.result or {}
    return Replay(job, job.counts.get("replayed", 0), result.get("next_since"))
