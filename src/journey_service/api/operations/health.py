"""Whether the process lives, and whether it can work. The only routes without a credential."""

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from journey_service.api.dependencies import AppStateDep
from journey_service.services.operations import health

router = APIRouter(tags=["health"])


@router.get("/livez", summary="Is the process alive?")
async def livez() -> dict[str, str]:
    """Touches nothing."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    summary="Can the service work?",
    responses={503: {"description": "The database is out of reach or not migrated"}},
)
async def readyz(response: Response, app_state: AppStateDep) -> dict[str, str]:
    """The database has to answer with this version's schema; without Redis the service works on, slower."""
    readiness = await health.check(app_state.database)
    rings = app_state.worker_wakeup is not None and await app_state.worker_wakeup.answers()
    ready = readiness.database and readiness.schema
    if not ready:
        response.status_code = 503
    return {
        "status": "unavailable" if not ready else "ok" if rings else "degraded",
        "database": "ok" if readiness.database else "out of reach",
        "schema": "ok" if readiness.schema else "not this version's",
        "redis": "ok" if rings else "out of reach",
    }


@router.get("/", include_in_schema=False)
async def root() -> RedirectResponse:
    """To the documentation of the API."""
    return RedirectResponse("/docs")
