"""Routes of a customer's journey: state, transitions, scores, manual moves, pins, evaluation."""

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
    Evaluation,
    Journey,
    JourneyUpdate,
    PinUpdate,
    TransitionCreated,
)
from journey_service.api.journeys.schemas.transitions import Transition, TransitionCreate, TransitionPage
from journey_service.api.middleware.idempotent_requests import ONCE_PER_KEY
from journey_service.api.problems import JSON_BODY, KEY_ERRORS, problems
from journey_service.api.request_bodies import MAX_BODY_BYTES, StrictRoute
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.domain.errors import (
    IdempotencyKeyReusedError,
    InvalidInputError,
    PreconditionMissingError,
)
from journey_service.domain.journeys.errors import (
    InactiveStageError,
    JourneyNotStartedError,
    NotPinnedError,
    StageConflictError,
    StaleVersionError,
)
from journey_service.services.journeys import manual_changes, reading
from journey_service.services.journeys.view import JourneyView

router = APIRouter(tags=["journeys"], route_class=StrictRoute)

_CHANGES = (CustomerNotFoundError, StaleVersionError, PreconditionMissingError, *JSON_BODY)


def _to_response(view: JourneyView, response: Response) -> Journey:
    response.headers["ETag"] = f'"{view.stored.relationship.version}"'
    return Journey.of(view)


@router.get(
    "/customers/{customer_id}/journey",
    summary="Get a journey",
    responses=problems(CustomerNotFoundError, JourneyNotStartedError),
)
async def get_journey(
    customer_id: AnyCustomerId,
    response: Response,
    caller: CustomerReader,
    app_state: AppStateDep,
    as_of: AsOf = None,
) -> Journey:
    """Returns the journey, with scores computed now. The ETag is the version, for `If-Match` of a later change.

    With `as_of`, returns the past state as it is known today: stage and version from the transitions, facts and scores
    from the events that had occurred. `pin_until`, `notes`, `metadata`, `owner`, `next_evaluation_at` and `updated_at`
    are null then, and there is no ETag.
    """
    if as_of is not None:
        return Journey.of(
            await reading.get_past_journey(app_state.database, caller.company_id, customer_id, as_of)
        )
    view = await reading.get_journey(app_state.database, caller.company_id, customer_id)
    return _to_response(view, response)


@router.patch(
    "/customers/{customer_id}/journey",
    summary="Update a journey",
    responses=problems(*_CHANGES),
    max_body_size=MAX_BODY_BYTES,
)
async def update_journey(
    customer_id: CustomerId,
    body: JourneyUpdate,
    response: Response,
    caller: JourneyWriter,
    version: Version,
    app_state: AppStateDep,
) -> Journey:
    """Changes owner, notes or metadata; omitted fields keep theirs. The version of the journey does not change."""
    values = body.model_dump(exclude_unset=True)
    if not values:
        raise InvalidInputError.at("", "must contain at least one of owner, notes, metadata")
    view = await manual_changes.annotate(
        app_state.database, caller.company_id, customer_id, values, version=version, by=caller.actor
    )
    return _to_response(view, response)


@router.get(
    "/customers/{customer_id}/transitions",
    summary="List transitions",
    responses=problems(CustomerNotFoundError),
)
async def list_transitions(
    customer_id: AnyCustomerId,
    caller: CustomerReader,
    app_state: AppStateDep,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> TransitionPage:
    """Returns the transitions of a customer with their reasons, newest first."""
    before = from_cursor("transitions", cursor, is_id)
    _, entries = await reading.list_transitions(
        app_state.database,
        caller.company_id,
        customer_id,
        before=before[0] if before else None,
        limit=limit + 1,
    )
    return TransitionPage(
        items=[Transition.of(entry) for entry in entries[:limit]],
        next_cursor=next_cursor("transitions", entries, limit, lambda row: [row.transition.seq]),
    )


@router.post(
    "/customers/{customer_id}/transitions",
    summary="Move a customer",
    status_code=201,
    responses={
        200: {
            "model": TransitionCreated,
            "description": "A request with the same Idempotency-Key was carried out before",
        },
        **problems(*_CHANGES, StageConflictError, InactiveStageError, IdempotencyKeyReusedError),
    },
    max_body_size=MAX_BODY_BYTES,
)
async def move_customer(
    customer_id: CustomerId,
    body: TransitionCreate,
    response: Response,
    caller: JourneyWriter,
    version: Version,
    app_state: AppStateDep,
    idempotency_key: IdempotencyKey = None,
) -> TransitionCreated:
    """Moves a customer to any active stage, even if the rules call for another one.

    If the rules would undo the move at once, the service pins the customer to the stage and reports the pin in
    `pinned`. A repeated request with the same `Idempotency-Key` returns the first transition and the current journey.
    """
    request = manual_changes.ManualMove(
        to_stage=body.to_stage,
        version=version,
        actor=caller.actor,
        key=idempotency_key or secrets.token_hex(16),
        is_repeatable=idempotency_key is not None,
        performed_by=body.performed_by,
        notes=body.notes,
        pin_until=body.pin_until,
        runs_actions=body.run_actions,
    )
    moved = await manual_changes.move(app_state.database, caller.company_id, customer_id, request)
    response.headers["ETag"] = f'"{moved.view.stored.relationship.version}"'
    if moved.is_repeat:
        response.status_code = 200
    else:
        app_state.wake_for_transitions()
    return TransitionCreated.of(moved)


@router.put(
    "/customers/{customer_id}/pin",
    summary="Pin a customer",
    responses=problems(*_CHANGES),
    max_body_size=MAX_BODY_BYTES,
)
async def pin_customer(
    customer_id: CustomerId,
    body: PinUpdate,
    response: Response,
    caller: JourneyWriter,
    version: Version,
    app_state: AppStateDep,
) -> Journey:
    """Pins the customer to the current stage until a time, or changes the time of an existing pin.

    Moves that the rules call for while the pin lasts are recorded in `suppressed`.
    """
    view = await manual_changes.pin(
        app_state.database,
        caller.company_id,
        customer_id,
        until=body.pin_until,
        version=version,
        by=caller.actor,
    )
    return _to_response(view, response)


@router.delete(
    "/customers/{customer_id}/pin",
    summary="Unpin a customer",
    responses=problems(CustomerNotFoundError, StaleVersionError, PreconditionMissingError, NotPinnedError),
)
async def unpin_customer(
    customer_id: CustomerId,
    response: Response,
    caller: JourneyWriter,
    version: Version,
    app_state: AppStateDep,
) -> Journey:
    """Removes the pin and evaluates the customer at once."""
    view = await manual_changes.unpin(
        app_state.database, caller.company_id, customer_id, version=version, by=caller.actor
    )
    if view.stored.relationship.version > version:
        app_state.wake_for_transitions()
    return _to_response(view, response)


@router.post(
    "/customers/{customer_id}/evaluate",
    summary="Evaluate a customer now",
    dependencies=[ONCE_PER_KEY],
    responses=problems(*KEY_ERRORS, CustomerNotFoundError),
)
async def evaluate_customer(
    request: Request,
    customer_id: CustomerId,
    response: Response,
    caller: JourneyWriter,
    app_state: AppStateDep,
    dry_run: Annotated[  # noqa: FBT002  # a query parameter
        bool, Query(description="Whether to compute the outcome only and write nothing")
    ] = False,
) -> Evaluation:
    """Evaluates the rules for everything that is due up to now, and returns the transitions made."""
    if dry_run:  # it writes no audit entry of its own
        await record_operator(request, app_state, caller)
    evaluation = await manual_changes.evaluate(
        app_state.database, caller.company_id, customer_id, by=None if dry_run else caller.actor
    )
    if not dry_run:
        if evaluation.moves:
            app_state.wake_for_transitions()
        response.headers["ETag"] = f'"{evaluation.view.stored.relationship.version}"'
    return Evaluation.of(evaluation)
