"""Everything held on one person: handed out, or erased."""

from fastapi import APIRouter

from journey_service.api.authentication import Privacy
from journey_service.api.customers.schemas.privacy import ErasureOut, ExportOut
from journey_service.api.dependencies import AppStateDep, CustomerId
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.services.customers import privacy

router = APIRouter(tags=["privacy"], route_class=StrictRoute)


@router.get(
    "/customers/{customer_id}/export",
    summary="Hand out everything held on a customer",
    responses=problems(CustomerNotFoundError),
)
async def get_export(customer_id: CustomerId, caller: Privacy, app_state: AppStateDep) -> ExportOut:
    """Profile, consents and their changes, relationship, scores, moves, events, audit: every row, as JSON."""
    return ExportOut.of(
        await privacy.export_customer(app_state.database, caller.company_id, customer_id, by=caller.actor)
    )


@router.post(
    "/customers/{customer_id}/anonymize",
    summary="Erase who a customer is",
    responses=problems(CustomerNotFoundError),
)
async def post_anonymization(customer_id: CustomerId, caller: Privacy, app_state: AppStateDep) -> ErasureOut:
    """Erase everything that says who the customer is, for good. Figures stay as they are.

    The journey goes on under a negative id that is told to nobody; what is told of the old id from now on is answered
    `ignored_erased`. Asking again changes nothing.
    """
    erasure = await privacy.anonymize_customer(
        app_state.database, caller.company_id, customer_id, by=caller.actor
    )
    return ErasureOut.of(erasure)
