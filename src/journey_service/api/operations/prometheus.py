"""Prometheus metrics: requests, connections, the backlog of the workers, and metrics of companies."""

import hmac
import os
from collections.abc import Iterator, Sequence
from ipaddress import ip_address
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from journey_service.api.dependencies import AppState, AppStateDep
from journey_service.domain.errors import UnauthenticatedError
from journey_service.domain.operations.records import WorkerBacklog
from journey_service.services.operations import health
from journey_service.services.operations.health import DatabaseState
from journey_service.services.operations.monitoring import CompanyMetrics

router = APIRouter(tags=["health"])

_bearer = HTTPBearer(auto_error=False, scheme_name="metrics", description="JOURNEY_METRICS_TOKEN")
_FORWARDING: Final = frozenset(("forwarded", "x-forwarded-for", "x-real-ip"))
"""Headers of requests that a proxy passes on."""
_LAGS: Final = {
    "due_customers": (
        "due_customers_age",
        "Age in seconds of the oldest due evaluation of a customer; 0 if none is due",
    ),
    "nightly_runs": ("nightly_runs_age", "Age in seconds of the oldest due nightly run; 0 if none is due"),
    "jobs": ("job_age", "Age in seconds of the oldest queued job; 0 if none is queued"),
    "abandoned_jobs": (
        "expired_leases_age",
        "Seconds since the oldest expired lease of a running job expired; 0 if none has expired",
    ),
    "imports": ("import_age", "Age in seconds of the oldest queued import; 0 if none is queued"),
    "actions": (
        "action_age",
        "Age in seconds of the oldest action that is ready to be sent; 0 if none is ready",
    ),
}
"""Lag gauges by polling task: the field of WorkerBacklog, and the help text."""
_COUNTS: Final = {
    "jobs": ("jobs", "Number of jobs that are queued or running"),
    "imports": ("imports", "Number of imports that are queued or running"),
    "jobs_failed_24h": ("failed_jobs", "Number of jobs that failed within the last 24 hours"),
    "actions_dead_24h": (
        "dead_actions",
        "Number of actions that failed permanently within the last 24 hours",
    ),
    "actions": ("actions", "Number of actions that are ready to be sent"),
    "companies_with_gaps": (
        "companies_with_gaps",
        "Number of companies whose daily snapshots do not reconcile with the ledgers",
    ),
    "webhook_endpoints_disabled": (
        "disabled_endpoints",
        "Number of webhook endpoints that the service has disabled because they accepted no messages",
    ),
}
"""Count gauges by name: the field of WorkerBacklog, and the help text."""
_STAGE_GAUGES: Final = {
    "customers": "Number of customers in the stage",
    "visit_mean_days": "Mean duration in days of the stage visits that ended within the last 30 days",
    "conversion_ratio": (
        "Share, from 0 to 1, of the stage visits that ended within the last 30 days with a conversion"
        " (risk stages: with a return)"
    ),
}
"""Gauges of a company's stages by name: the help text."""


class _StateCollector(Collector):
    """Gauges that are computed at each scrape."""

    def __init__(
        self,
        app_state: AppState,
        state: DatabaseState | None,
        backlog: WorkerBacklog | None,
        companies: Sequence[CompanyMetrics],
    ) -> None:
        self._app_state = app_state
        self._state = state
        self._backlog = backlog
        self._companies = companies

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yields the gauges. Without a database, `journey_database_up` is 0 and the backlog is missing."""
        yield GaugeMetricFamily(
            "journey_database_up",
            "1 if the database responds, else 0",
            value=float(self._backlog is not None),
        )
        yield GaugeMetricFamily(
            "journey_schema_current",
            "1 if the database has the schema of this version, else 0",
            value=float(self._state is not None and self._state.is_schema_current),
        )
        if self._state is not None:
            yield GaugeMetricFamily(
                "journey_database_oldest_transaction_seconds",
                "Age in seconds of the oldest open transaction; 0 if none is open",
                value=self._state.oldest_transaction_age,
            )
        pool = GaugeMetricFamily(
            "journey_database_pool_connections",
            "Number of database connections of the pool by state: in_use or idle",
            labels=["state"],
        )
        in_use, size = self._app_state.database.pool_in_use, self._app_state.settings.pool_size
        pool.add_metric(["in_use"], in_use)
        pool.add_metric(["idle"], size - in_use)
        yield pool
        yield GaugeMetricFamily(
            "journey_rate_limits_shared",
            "1 if the rate limits of all processes are counted together, 0 if this process counts alone",
            value=float(not self._app_state.rate_limiter.is_local),
        )
        if self._backlog is None:
            return
        for name, (field, text) in _LAGS.items():
            yield GaugeMetricFamily(f"journey_{name}_lag_seconds", text, value=getattr(self._backlog, field))
        for name, (field, text) in _COUNTS.items():
            yield GaugeMetricFamily(f"journey_{name}", text, value=getattr(self._backlog, field))
        yield from self._company_gauges()

    def _company_gauges(self) -> Iterator[GaugeMetricFamily]:
        stages = {
            name: GaugeMetricFamily(f"journey_stage_{name}", text, labels=["company_id", "stage"])
            for name, text in _STAGE_GAUGES.items()
        }
        risk = GaugeMetricFamily(
            "journey_risk_band_customers",
            "Number of customers in the risk band",
            labels=["company_id", "band"],
        )
        succeeded = GaugeMetricFamily(
            "journey_actions_success_ratio",
            "Share, from 0 to 1, of successful actions among the finished actions of the last 30 days",
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
    request: Request,
    credential: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Response:
    """Returns the metrics of this process, the backlog of the workers, and metrics of companies.

    Requires JOURNEY_METRICS_TOKEN as the bearer token. Without the setting, it works in development only, for clients
    on this machine.
    """
    _authorize(app_state, request, credential)
    database_state = await health.get_database_state(app_state.database)
    backlog = await health.get_backlog(app_state.database)
    companies = () if backlog is None else await app_state.company_metrics.get_metrics()
    state = CollectorRegistry()
    state.register(_StateCollector(app_state, database_state, backlog, companies))
    content = generate_latest(_process_registry()) + generate_latest(state)
    return Response(content, media_type=CONTENT_TYPE_LATEST)


def _authorize(
    app_state: AppState, request: Request, credential: HTTPAuthorizationCredentials | None
) -> None:
    token = app_state.settings.metrics_token
    if token is None:
        if app_state.settings.is_production or not _is_local(request):
            raise UnauthenticatedError("Metrics are disabled: set JOURNEY_METRICS_TOKEN to enable them.")
        return
    presented = "" if credential is None else credential.credentials
    if not hmac.compare_digest(presented.encode(), token.get_secret_value().encode()):
        raise UnauthenticatedError("The credential is not valid.")


def _is_local(request: Request) -> bool:
    """Whether the client is on this machine.

    A request that a proxy passes on is not from this machine, whatever address it has.
    """
    if request.client is None or not _FORWARDING.isdisjoint(request.headers.keys()):
        return False
    try:
        address = ip_address(request.client.host)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _process_registry() -> CollectorRegistry:
    """Returns the metrics of this process, or of all processes that share PROMETHEUS_MULTIPROC_DIR."""
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # the library's own
    return registry
