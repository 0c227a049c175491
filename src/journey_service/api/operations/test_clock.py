"""Route of test clocks."""

from fastapi import APIRouter, Response

from journey_service.api.authentication import CompanyId, TestClockAdmin
from journey_service.api.dependencies import AppStateDep
from journey_service.api.middleware.idempotent_requests import ONCE_PER_KEY
from journey_service.api.operations.schemas.test_clock import TestClock, TestClockUpdate
from journey_service.api.problems import JSON_BODY, KEY_ERRORS, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.domain.companies.errors import NoTestClockError
from journey_service.services.operations import test_clock

router = APIRouter(prefix="/admin", tags=["operations"], route_class=StrictRoute)


@router.post(
    "/companies/{company_id}/clock",
    summary="Advance a test clock",
    dependencies=[ONCE_PER_KEY],
    responses={
        202: {
            "model": TestClock,
            "description": "The clock is advanced; a job continues to process what became due",
        },
        **problems(*KEY_ERRORS, NoTestClockError, *JSON_BODY),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def advance_test_clock(
    company_id: CompanyId,
    body: TestClockUpdate,
    response: Response,
    caller: TestClockAdmin,
    app_state: AppStateDep,
) -> TestClock:
    """Advances the test clock of a company, or releases the company to real time.

    Everything that becomes due in between is processed as of the time at which it is due. The response is 200 if that
    is done within ten seconds, or 202 with a job that continues.
    """
    advanced = await test_clock.advance(
        app_state.database,
        company_id,
        body.advance_to,
        actor=caller.actor,
        lease_seconds=app_state.settings.lease_seconds,
    )
    clock = TestClock.of(advanced)
    app_state.respond_accepted(clock.status, response)
    return clock
