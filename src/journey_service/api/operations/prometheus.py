"""Prometheus metrics: requests, connections, the backlog of the workers, and metrics of companies."""

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
from journey_service.domain.operations.records import WorkerBacklog
from journey_service.services.operations import health
from journey_service.services.operations.monitoring import CompanyMetrics

router = APIRouter(tags=["health"])

_bearer = HTTPBearer(auto_error=False, scheme_name="metrics", description="JOURNEY_METRICS_TOKEN")
_LAGS: Final = {
    "due_customers": ("sweep", "Seconds since the oldest due evaluation of a customer was due"),
    "nightly_runs": ("night", "Seconds since the oldest due nightly run was due"),
    "jobs": ("job_age", "Seconds since the oldest queued job was queued"),
    "imports": ("import_age", "Seconds since the oldest queued import was queued"),
    "actions": ("action_age", "Seconds since the oldest ready action became ready"),
}
"""Gauges of delays, named after the polling task: the field of the backlog, and the description."""
_COUNTS: Final = {
    "jobs": "Jobs queued or running",
    "imports": "Imports queued or running",
    "failed_jobs": "Jobs that failed within 24 hours",
    "dead_actions": "Actions that failed permanently within 24 hours",
    "actions": "Actions ready to be sent",
}
_STAGE_GAUGES: Final = {
    "customers": "Customers in a stage",
    "mean_days": "Mean days of the stage visits that ended within 30 days",
    "conversion_ratio": "Share of these that ended with a conversion (in a risk stage: with a return)",
}


class _StateCollector(Collector):
    """Gauges of the state at the time of the scrape."""

    def __init__(
        self, app_state: AppState, backlog: WorkerBacklog | None, companies: Sequence[CompanyMetrics]
    ) -> None:
        self._app_state = app_state
        self._backlog = backlog
        self._companies = companies

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yields the gauges. Without a database, `journey_database_up` is 0 and the backlog is missing."""
        yield GaugeMetricFamily(
            "journey_database_up", "Whether the database answers", value=float(self._backlog is not None)
        )
        pool = GaugeMetricFamily("journey_pool_connections", "Database connections", labels=["state"])
        in_use, size = self._app_state.database.pool_in_use, self._app_state.settings.pool_size
        pool.add_metric(["in_use"], in_use)
        pool.add_metric(["free"], size - in_use)
        yield pool
        if self._backlog is None:
            return
        for name, (field, text) in _LAGS.items():
            yield GaugeMetricFamily(f"journey_{name}_lag_seconds", text, value=getattr(self._backlog, field))
        for name, text in _COUNTS.items():
            yield GaugeMetricFamily(f"journey_{name}", text, value=getattr(self._backlog, name))
        yield from self._company_gauges()

    def _company_gauges(self) -> Iterator[GaugeMetricFamily]:
        stages = {
            name: GaugeMetricFamily(f"journey_stage_{name}", text, labels=["company_id", "stage"])
            for name, text in _STAGE_GAUGES.items()
        }
        risk = GaugeMetricFamily(
            "journey_risk_band_customers", "Customers by risk band", labels=["company_id", "band"]
        )
        succeeded = GaugeMetricFamily(
            "journey_actions_success_ratio",
            "Share of the finished actions planned within 30 days that succeeded",
            labels=["company_id"],
        )
        for company in self._companies:
            id_ = str(company.company_id)
            for stage in company.stages:
                values = (stage.customers, stage.mean_days, stage.conversion)
                for family, value in zip(stages.values(), values, strict=True):
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
    """Exports metrics of this process, the backlog of the workers, and metrics of companies.

    Requires JOURNEY_METRICS_TOKEN as a bearer token; without the setting, only in development.
    """
    _authorize(app_state, credential)
    backlog = await health.get_backlog(app_state.database)
    companies = () if backlog is None else await app_state.company_metrics.get_metrics()
    state = CollectorRegistry()
    state.register(_StateCollector(app_state, backlog, companies))
    content = generate_latest(_process_registry()) + generate_latest(state)
    return Response(content, media_type=CONTENT_TYPE_LATEST)


def _authorize(app_state: AppState, credential: HTTPAuthorizationCredentials | None) -> None:
    token = app_state.settings.metrics_token
    if token is None:
        if app_state.settings.is_production:
            raise UnauthenticatedError("Set JOURNEY_METRICS_TOKEN to enable this path.")
        return
    given = "" if credential is None else credential.credentials
    if not hmac.compare_digest(given.encode(), token.get_secret_value().encode()):
        raise UnauthenticatedError("The credential is not valid.")


def _process_registry() -> CollectorRegistry:
    """Returns the metrics of this process, or of all processes that share PROMETHEUS_MULTIPROC_DIR."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library's own
    return registry
