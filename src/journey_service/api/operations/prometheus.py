"""What Prometheus scrapes: requests of this process, the pool, how far behind workers are, and companies' figures."""

import hmac
import os
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from journey_service.api.dependencies import AppState, AppStateDep
from journey_service.domain.errors import UnauthenticatedError
from journey_service.domain.operations.records import Backlog
from journey_service.services.operations import health
from journey_service.services.operations.monitoring import CompanyMetrics

router = APIRouter(tags=["health"])

_bearer = HTTPBearer(auto_error=False, scheme_name="metrics", description="JOURNEY_METRICS_TOKEN")
_LAGS: Final = {
    "sweep": "the customer due longest has waited to be decided",
    "night": "the nightly run due longest has waited to begin",
    "job_age": "the job queued longest has waited",
    "import_age": "the import queued longest has waited",
    "action_age": "the action ready longest has waited to be sent",
}
_NUMBERS: Final = {
    "jobs": "Jobs queued or running",
    "imports": "Imports queued or running",
    "failed_jobs": "Jobs that have failed within 24 hours",
    "dead_actions": "Actions given up within 24 hours",
    "actions": "Actions ready to be sent",
}
_OF_STAGES: Final = {
    "customers": "Customers in a stage",
    "mean_days": "Mean days of the visits of a stage that ended within 30 days",
    "conversion_ratio": "Of these, the share that ended by an entry (of a risk stage: by a return)",
}


class _Seen(Collector):
    """What is looked at when somebody scrapes, as gauges."""

    def __init__(
        self, app_state: AppState, backlog: Backlog | None, watched: Sequence[CompanyMetrics]
    ) -> None:
        self._house = app_state
        self._backlog = backlog
        self._watched = watched

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges. Without a database there is no backlog, and `journey_up` says so."""
        yield GaugeMetricFamily(
            "journey_up", "Whether the database answers", value=float(self._backlog is not None)
        )
        pool = GaugeMetricFamily("journey_pool_connections", "Database connections", labels=["state"])
        in_use, size = self._house.database.pool_in_use, self._house.settings.pool_size
        pool.add_metric(["in_use"], in_use)
        pool.add_metric(["free"], size - in_use)
        yield pool
        if self._backlog is None:
            return
        for name, what in _LAGS.items():
            yield GaugeMetricFamily(
                f"journey_{name.removesuffix('_age')}_lag_seconds",
                f"For how long {what}",
                value=getattr(self._backlog, name),
            )
        for name, what in _NUMBERS.items():
            yield GaugeMetricFamily(f"journey_{name}", what, value=getattr(self._backlog, name))
        yield from self._figures()

    def _figures(self) -> Iterator[GaugeMetricFamily]:
        stages = {
            name: GaugeMetricFamily(f"journey_stage_{name}", what, labels=["company_id", "stage"])
            for name, what in _OF_STAGES.items()
        }
        risk = GaugeMetricFamily(
            "journey_risk_customers", "Customers by band of risk", labels=["company_id", "band"]
        )
        succeeded = GaugeMetricFamily(
            "journey_actions_success_ratio",
            "Of the actions planned within 30 days that are done or dead, the share done",
            labels=["company_id"],
        )
        for company in self._watched:
            id_ = str(company.company_id)
            for stage in company.stages:
                told = (stage.customers, stage.mean_days, stage.conversion)
                for family, value in zip(stages.values(), told, strict=True):
                    if value is not None:
                        family.add_metric([id_, stage.key], float(value))
            for band, number in company.bands:
                risk.add_metric([id_, band], number)
            if company.succeeded is not None:
                succeeded.add_metric([id_], company.succeeded)
        yield from (*stages.values(), risk, succeeded)


@router.get("/metrics", include_in_schema=False)
async def get_prometheus(
    app_state: AppStateDep,
    credential: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Response:
    """Requests and their times by route, the pool, queues with their ages, and the figures of companies.

    With JOURNEY_METRICS_TOKEN set it is asked for as a bearer token; without it only a developer's machine answers.
    """
    _check(app_state, credential)
    backlog = await health.get_backlog(app_state.database)
    watched = () if backlog is None else await app_state.company_metrics.get_metrics()
    seen = CollectorRegistry()
    seen.register(_Seen(app_state, backlog, watched))
    return Response(generate_latest(_counted()) + generate_latest(seen), media_type=CONTENT_TYPE_LATEST)


def _check(app_state: AppState, credential: HTTPAuthorizationCredentials | None) -> None:
    wanted = app_state.settings.metrics_token
    if wanted is None:
        if app_state.settings.is_production:
            raise UnauthenticatedError("Nobody has set JOURNEY_METRICS_TOKEN.")
        return
    told = "" if credential is None else credential.credentials
    if not hmac.compare_digest(told.encode(), wanted.get_secret_value().encode()):
        raise UnauthenticatedError("The credential is not valid.")


def _counted() -> CollectorRegistry:
    """What this process has counted; with PROMETHEUS_MULTIPROC_DIR set, all processes beside it too."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library's own
    return registry
