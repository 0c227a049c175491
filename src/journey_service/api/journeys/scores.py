"""Routes of a customer's scores: with their factors, and over time."""

from typing import Annotated

from fastapi import APIRouter, Query

from journey_service.api.authentication import CustomerReader
from journey_service.api.dependencies import AnyCustomerId, AppStateDep, AsOf
from journey_service.api.journeys.schemas.scores import CustomerScores, ScoreHistory
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.api.schema_fields import Day
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.journeys.errors import JourneyNotStartedError
from journey_service.domain.journeys.score_history import HistoryStep, RequestedHistory
from journey_service.services.journeys import reading

router = APIRouter(tags=["journeys"], route_class=StrictRoute)


@router.get(
    "/customers/{customer_id}/scores",
    summary="Get a customer's scores",
    responses=problems(CustomerNotFoundError, JourneyNotStartedError),
)
async def get_scores(
    customer_id: AnyCustomerId, caller: CustomerReader, app_state: AppStateDep, as_of: AsOf = None
) -> CustomerScores:
    """Returns the engagement score and the risk score, computed now, with the factors that add up to each.

    With `as_of`, computes both from the events that had occurred by then, with today's settings.
    """
    return CustomerScores.of(
        await reading.get_scores(app_state.database, caller.company_id, customer_id, as_of)
    )


FirstParam = Annotated[
    Day | None,
    Query(
        alias="from",
        description="First local day, included; default: 89 days before `to`, or 364 days if `step` is `week`",
        examples=["2026-01-01"],
    ),
]
LastParam = Annotated[
    Day | None,
    Query(
        alias="to",
        description="Last local day, included, not after today; default: today",
        examples=["2026-03-01"],
    ),
]
StepParam = Annotated[
    HistoryStep,
    Query(
        description="Distance of the points. `day`: the end of each local day; `week`: the end of each Sunday, and"
        " of the last day"
    ),
]


@router.get(
    "/customers/{customer_id}/scores/history",
    summary="Get the history of a customer's scores",
    responses=problems(CustomerNotFoundError),
)
async def get_score_history(
    customer_id: AnyCustomerId,
    caller: CustomerReader,
    app_state: AppStateDep,
    first: FirstParam = None,
    last: LastParam = None,
    step: StepParam = HistoryStep.DAY,
) -> ScoreHistory:
    """Returns the stage and both scores at the end of each local day or week, oldest first; today as of now.

    Each point equals the journey, and its scores, with `as_of` at the point's time. Points before the journey began are
    left out. A range of more than 400 points is refused.
    """
    return ScoreHistory.of(
        await reading.get_score_history(
            app_state.database, caller.company_id, customer_id, RequestedHistory(first, last, step)
        )
    )
