"""Routes of liveness, readiness, health, and the schedule."""

import asyncio

from fastapi import APIRouter, Response

from journey_service.api.authentication import AdminReader
from journey_service.api.dependencies import AppState, AppStateDep
from journey_service.api.operations.schemas.health import Health, Liveness, Readiness, Schedule
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.services.operations import health, schedule

probes = APIRouter(tags=["health"])
router = APIRouter(prefix="/admin", tags=["operations"], route_class=StrictRoute)


@probes.get("/livez", summary="Get liveness")
async def get_liveness() -> Liveness:
    """Returns 200 while the process answers requests. The database is not checked."""
    return Liveness(status="ok")


@probes.get(
    "/readyz",
    summary="Get readiness",
    responses={
        503: {
            "model": Readiness,
            "description": "The database is unreachable, full, read-only or not migrated",
        }
    },
)
async def get_readiness(response: Response, app_state: AppStateDep) -> Readiness:
    """Checks the database, its schema, and Redis. Without Redis the service is ready; background work starts later.

    A database that does not answer within half a second counts as unreachable.
    """
    found, has_redis = await asyncio.gather(health.check(app_state.database_probe), _has_redis(app_state))
    if not found.is_ready:
        response.status_code = 503
    return Readiness(
        status="unavailable" if not found.is_ready else "ok" if has_redis else "degraded",
        database=found.database,
        schema="ok" if found.schema else "mismatch",
        redis="ok" if has_redis else "unreachable",
    )


async def _has_redis(app_state: AppState) -> bool:
    return app_state.worker_wakeup is not None and await app_state.worker_wakeup.responds()


@router.get("/schedule", summary="Get the schedule", responses=problems())
async def get_schedule(caller: AdminReader, app_state: AppStateDep) -> Schedule:
    """Returns the next nightly run of the company, the latest ones, and the polling tasks of the workers."""
    return Schedule.of(await schedule.get_schedule(app_state.database, caller.company_id))


@router.get("/health", summary="Get the health of the service", responses=problems())
async def get_health(caller: AdminReader, app_state: AppStateDep) -> Health:
    """Checks the database, its schema, Redis, and the backlog of the workers.

    A credential of a company gets the backlog, the failures and the disabled endpoints of this company alone, and
    warnings if a channel of its stage actions has no receiver or webhooks of a source are signed wrongly. An operator
    gets those of all companies.
    """
    redis = None if app_state.worker_wakeup is None else app_state.worker_wakeup.responds
    company_id = None if caller.principal.is_operator else caller.company_id
    has_mailer = app_state.settings.has_mailer
    found = await health.examine(
        app_state.database,
        app_state.database_probe,
        company_id=company_id,
        has_mailer=has_mailer,
        redis=redis,
    )
    return Health.of(found)
