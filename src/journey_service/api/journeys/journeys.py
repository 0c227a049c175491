"""One customer's journey: state, history, scores; moves and pins by hand."""

import secrets
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from journey_service.api.authentication import CustomerReader, JourneyWriter, record_operator
from journey_service.api.dependencies import (
    AnyCustomerId,
    AppStateDep,
    AsOf,
    Cursor,
    CustomerId,
    IdempotencyKey,
    Limit,
    Version,
    from_cursor,
    is_id,
    next_cursor,
)
from journey_service.api.journeys.schemas.journeys import (
    AnnotationIn,
    EvaluationOut,
    JourneyOut,
    ManualMoveIn,
    MovedOut,
    PinIn,
    TransitionOut,
    TransitionsOut,
)
from journey_service.api.journeys.schemas.scores import ScoresOut
from journey_service.api.problems import JSON_BODY, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.errors import (
    IdempotencyKeyReusedError,
    InvalidInputError,
    PreconditionMissingError,
)
from journey_service.domain.journeys.errors import (
    InactiveStageError,
    NoJourneyYetError,
    NotPinnedError,
    StageConflictError,
    StaleVersionError,
)
from journey_service.services.journeys import manual_changes, reading
from journey_service.services.journeys.view import JourneyView

router = APIRouter(tags=["journeys"], route_class=StrictRoute)

_CHANGES = (CustomerNotFoundError, StaleVersionError, PreconditionMissingError, *JSON_BODY)


def _tagged(response: Response, view: JourneyView) -> JourneyOut:
    response.headers["ETag"] = f'"{view.stored.relationship.version}"'
    return JourneyOut.of(view)


@router.get(
    "/customers/{customer_id}/journey",
    summary="Read where a customer stands",
    responses=problems(CustomerNotFoundError, NoJourneyYetError),
)
async def get_journey(
    customer_id: AnyCustomerId,
    response: Response,
    caller: CustomerReader,
    app_state: AppStateDep,
    as_of: AsOf = None,
) -> JourneyOut:
    """Read the journey, with scores computed now. The ETag is the version that a change is based on.

    With `as_of`, what is known today of how things stood then: stage and version from the ledger of moves, facts and
    scores from the events that had occurred. Of pins, notes, the owner and what was due next nothing is told, and no
    ETag.
    """
    if as_of is not None:
        return JourneyOut.of(
            await reading.get_past_journey(app_state.database, caller.company_id, customer_id, as_of)
        )
    return _tagged(response, await reading.get_journey(app_state.database, caller.company_id, customer_id))


@router.patch(
    "/customers/{customer_id}/journey",
    summary="Write notes or metadata on a journey",
    responses=problems(*_CHANGES),
    max_body_size=MAX_BODY_BYTES,
)
async def patch_journey(  # what FastAPI injects
    customer_id: CustomerId,
    body: AnnotationIn,
    response: Response,
    caller: JourneyWriter,
    version: Version,
    app_state: AppStateDep,
) -> JourneyOut:
    """Write what is given; the rest stays. Notes are no move: the version stays the same."""
    values = body.model_dump(exclude_unset=True)
    if not values:
        raise InvalidInputError.at("", "must name notes or metadata")
    view = await manual_changes.annotate(
        app_state.database, caller.company_id, customer_id, values, version=version, by=caller.actor
    )
    return _tagged(response, view)


@router.get(
    "/customers/{customer_id}/transitions",
    summary="Read a journey's history",
    responses=problems(CustomerNotFoundError),
)
async def list_transitions(
    customer_id: AnyCustomerId,
    caller: CustomerReader,
    app_state: AppStateDep,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> TransitionsOut:
    """Every move with its reasons, newest first, page by page."""
    before = from_cursor("transitions", cursor, is_id)
    _, entries = await reading.list_transitions(
        app_state.database,
        caller.company_id,
        customer_id,
        before=before[0] if before else None,
        limit=limit + 1,
    )
    return TransitionsOut(
        items=[TransitionOut.of(entry) for entry in entries[:limit]],
        next_cursor=next_cursor("transitions", entries, limit, lambda row: [row.transition.seq]),
    )


@router.post(
    "/customers/{customer_id}/transitions",
    summary="Move a customer by hand",
    status_code=201,
    responses={
        200: {"model": MovedOut, "description": "The same request was carried out before"},
        **problems(*_CHANGES, StageConflictError, InactiveStageError, IdempotencyKeyReusedError),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def post_transition(  # what FastAPI injects
    customer_id: CustomerId,
    body: ManualMoveIn,
    response: Response,
    caller: JourneyWriter,
    version: Version,
    app_state: AppStateDep,
    idempotency_key: IdempotencyKey = None,
) -> MovedOut:
    """Move a customer anywhere. A move the rules would undo at once is pinned, and the answer says so."""
    request = manual_changes.ManualMove(
        to_stage=body.to_stage,
        version=version,
        actor=caller.actor,
        key=idempotency_key or secrets.token_hex(16),
        is_repeatable=idempotency_key is not None,
        performed_by=body.performed_by,
        notes=body.notes,
        pin_until=body.pin_until,
    )
    moved = await manual_changes.move(app_state.database, caller.company_id, customer_id, request)
    response.headers["ETag"] = f'"{moved.view.stored.relationship.version}"'
    if moved.is_repeat:
        response.status_code = 200
    else:
        app_state.wake_for_transitions()
    return MovedOut.of(moved)


@router.put(
    "/customers/{customer_id}/pin",
    summary="Hold a customer in the present stage",
    responses=problems(*_CHANGES),
    max_body_size=MAX_BODY_BYTES,
)
async def put_pin(  # what FastAPI injects
    customer_id: CustomerId,
    body: PinIn,
    response: Response,
    caller: JourneyWriter,
    version: Version,
    app_state: AppStateDep,
) -> JourneyOut:
    """Pin until a date, or change that date. Moves the rules want meanwhile are noted as suppressed."""
    view = await manual_changes.pin(
        app_state.database,
        caller.company_id,
        customer_id,
        until=body.pin_until,
        version=version,
        by=caller.actor,
    )
    return _tagged(response, view)


@router.delete(
    "/customers/{customer_id}/pin",
    summary="Lift a pin",
    responses=problems(CustomerNotFoundError, StaleVersionError, PreconditionMissingError, NotPinnedError),
)
async def delete_pin(
    customer_id: CustomerId,
    response: Response,
    caller: JourneyWriter,
    version: Version,
    app_state: AppStateDep,
) -> JourneyOut:
    """Lift the pin; the customer is decided at once."""
    view = await manual_changes.unpin(
        app_state.database, caller.company_id, customer_id, version=version, by=caller.actor
    )
    if view.stored.relationship.version > version:
        app_state.wake_for_transitions()
    return _tagged(response, view)


@router.post(
    "/customers/{customer_id}/evaluate",
    summary="Evaluate a customer now",
    responses=problems(CustomerNotFoundError),
)
async def post_evaluation(  # what FastAPI injects
    request: Request,
    customer_id: CustomerId,
    response: Response,
    caller: JourneyWriter,
    app_state: AppStateDep,
    dry_run: Annotated[bool, Query(description="only tell what would happen")] = False,  # noqa: FBT002  # a query parameter
) -> EvaluationOut:
    """Decide everything that is due up to now."""
    if dry_run:  # which changes nothing, and so leaves no row of its own
        await record_operator(request, app_state, caller)
    evaluation = await manual_changes.evaluate(
        app_state.database, caller.company_id, customer_id, by=None if dry_run else caller.actor
    )
    if not dry_run:
        if evaluation.moves:
            app_state.wake_for_transitions()
        response.headers["ETag"] = f'"{evaluation.view.stored.relationship.version}"'
    return EvaluationOut.of(evaluation)


@router.get(
    "/customers/{customer_id}/scores",
    summary="Read a customer's scores, explained",
    responses=problems(CustomerNotFoundError),
)
async def get_scores(customer_id: AnyCustomerId, caller: CustomerReader, app_state: AppStateDep) -> ScoresOut:
    """Both scores computed now, with every factor; contributions add up to the score."""
    return ScoresOut.of(await reading.get_scores(app_state.database, caller.company_id, customer_id))
