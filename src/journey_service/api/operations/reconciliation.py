"""Route of the reconciliation of metrics."""

from fastapi import APIRouter

from journey_service.api.authentication import AnalyticsReader
from journey_service.api.dependencies import AppStateDep
from journey_service.api.operations.schemas.reconciliation import Reconciliation
from journey_service.api.problems import problems
from journey_service.api.request_bodies import StrictRoute
from journey_service.services.operations import reconciliation

router = APIRouter(tags=["analytics"], route_class=StrictRoute)


@router.get("/analytics/reconciliation", summary="Reconcile the metrics", responses=problems())
async def get_reconciliation(caller: AnalyticsReader, app_state: AppStateDep) -> Reconciliation:
    """Computes every metric in two ways, from stored aggregates and from the ledgers, and lists all differences."""
    return Reconciliation.of(await reconciliation.reconcile(app_state.database, caller.company_id))
