"""Routes of privacy: exporting and anonymizing a customer."""

from fastapi import APIRouter, Response

from journey_service.api.authentication import Privacy
from journey_service.api.customer_paths import PathRef
from journey_service.api.customers.schemas.privacy import CustomerErasure, CustomerExport
from journey_service.api.dependencies import AppStateDep, CustomerId
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.domain.customers.errors import CustomerNotFoundError
from journey_service.services.customers import privacy

router = APIRouter(tags=["privacy"], route_class=StrictRoute)


@router.get(
    "/customers/{customer_id}/export",
    summary="Export a customer",
    responses=problems(CustomerNotFoundError),
)
async def export_customer(
    customer_id: CustomerId, response: Response, caller: Privacy, app_state: AppStateDep
) -> CustomerExport:
    """Returns everything stored about a customer: every row of every table, and the scores computed from them.

    Browsers save the response as a file.
    """
    export = await privacy.export_customer(
        app_state.database, caller.company_id, customer_id, by=caller.actor
    )
    response.headers["Content-Disposition"] = f'attachment; filename="customer-{export.customer_id}.json"'
    return CustomerExport.of(export)


@router.post(
    "/customers/{customer_id}/anonymize",
    summary="Anonymize a customer",
    responses=problems(CustomerNotFoundError),
)
async def anonymize_customer(
    customer_id: CustomerId, caller: Privacy, app_state: AppStateDep, ref: PathRef
) -> CustomerErasure:
    """Erases all personal data of a customer permanently. Metrics do not change.

    The journey is kept under a random negative id. Later events for the erased id are answered with `ignored_erased`.
    Customers who were merged into this one are erased with it. Repeating the request changes nothing.
    """
    erasure = await privacy.anonymize_customer(
        app_state.database, caller.company_id, customer_id, by=caller.actor, customer_ref=ref
    )
    return CustomerErasure.of(erasure)
