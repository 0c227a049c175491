"""Composition root of the API: create_app()."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from types import ModuleType
from typing import Final
from urllib.parse import urlsplit

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from journey_service.api import problems
from journey_service.api.access import api_keys, audit, people, sessions, sign_in
from journey_service.api.actions import (
    actions,
    bulk_actions,
    campaigns,
    event_stream,
    stage_actions,
    tasks,
    templates,
    today,
    unsubscribe,
    webhook_endpoints,
)
from journey_service.api.analytics import churn, drilldown, reports, snapshots
from journey_service.api.authorization import check_declared
from journey_service.api.companies import companies
from journey_service.api.companies import settings as company_settings
from journey_service.api.customers import customers, duplicates, merging, privacy
from journey_service.api.dependencies import AppState
from journey_service.api.events import customer_events, direct_routes, events, imports, sources
from journey_service.api.journeys import bulk_moves, explanations, journeys, predictions, scores
from journey_service.api.middleware.compression import Compression
from journey_service.api.middleware.encoded_refs import EncodedRefs
from journey_service.api.middleware.head_requests import HeadRequests
from journey_service.api.middleware.request_checks import RequestChecks
from journey_service.api.middleware.request_slots import RequestSlots
from journey_service.api.middleware.response_headers import ResponseHeaders
from journey_service.api.middleware.telemetry import Telemetry
from journey_service.api.middleware.trailing_newline import TrailingNewline
from journey_service.api.middleware.webhook_handshake import WebhookHandshake
from journey_service.api.openapi import document as contract
from journey_service.api.openapi import documentation
from journey_service.api.operations import (
    data_quality,
    health,
    jobs,
    problem_pages,
    prometheus,
    reconciliation,
    test_clock,
)
from journey_service.api.portal import dashboard, portal
from journey_service.api.request_bodies import MAX_BODY_BYTES
from journey_service.api.server.shutdown import call_on_shutdown
from journey_service.api.stages import simulations, stage_maps
from journey_service.gateways.http_client import HttpClient
from journey_service.gateways.oidc import IdentityProvider, Provider
from journey_service.gateways.token_buckets import TokenBuckets
from journey_service.gateways.trace_export import send_traces
from journey_service.gateways.webhooks import Webhooks
from journey_service.gateways.worker_wakeup import WorkerWakeup
from journey_service.repositories.database import Database
from journey_service.repositories.database_probe import DatabaseProbe
from journey_service.services.access.key_installation import install_bootstrap_key
from journey_service.services.access.rate_limiter import RateLimiter
from journey_service.services.actions.event_stream import EventStream
from journey_service.services.events.ingest_batcher import IngestBatcher
from journey_service.services.operations.monitoring import CompanyMetricsCache
from journey_service.settings import Settings, read_settings

_ALLOWED_HEADERS = [
    *(
        "Authorization",
        "Content-Type",
        "Idempotency-Key",
        "If-Match",
        "Last-Event-ID",
        "X-Company-Id",
        "X-Reason",
        "X-Request-Id",
    ),
]

_API_ROUTES: Final[Sequence[ModuleType]] = (
    events,
    customer_events,
    duplicates,  # before `customers`, whose path would take the name for an id
    customers,
    merging,
    privacy,
    journeys,
    scores,
    predictions,
    explanations,
    imports,
    sources,
    stage_maps,
    stage_actions,
    simulations,
    templates,
    today,
    tasks,
    people,
    campaigns,
    bulk_actions,
    bulk_moves,
    actions,
    webhook_endpoints,
    event_stream,
    company_settings,
    reports,
    drilldown,
    snapshots,
    churn,
    reconciliation,
    sessions,
    jobs,
    health,
    test_clock,
    data_quality,
    audit,
    api_keys,
    companies,
)
"""Modules whose routes are those of the API, in the order of the OpenAPI document."""
_PREFIX: Final = "/api/v1"


def create_app(settings: Settings | None = None) -> FastAPI:
    """Creates the application; without settings, those of the environment are used."""
    chosen = settings if settings is not None else read_settings()
    if chosen.traces_url is not None:
        send_traces("journey-service")

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with _open(chosen) as app_state:
            app.state.app_state = app_state
            with call_on_shutdown(app_state.event_stream.close):
                yield

    app = FastAPI(
        title="Customer journey service",
        version=version("journey-service"),
        description=contract.DESCRIPTION,
        lifespan=lifespan,
        openapi_url=None,  # served by `documentation`
        docs_url=None,
        redoc_url=None,
        strict_content_type=False,
        generate_unique_id_function=lambda route: route.name,
        separate_input_output_schemas=False,
        # The service has its own telemetry; that of the framework contains paths and queries, with ids of customers.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    _include_routes(app)
    problems.install(app)
    contract.install(app)
    documentation.serve(app)
    app.include_router(dashboard.router)
    app.include_router(dashboard.pages)  # last: its path is every path
    direct_routes.serve(app, _PREFIX, events.router)
    _add_middleware(app, chosen)
    check_declared(app)
    return app


def _include_routes(app: FastAPI) -> None:
    for module in _API_ROUTES:
        # No router contains another: FastAPI compares the path with all routes once at each level.
        # The limit is below the middleware of `problems`, which turns the server's 413 into a problem.
        app.router.include_router(module.router, prefix=_PREFIX, max_body_size=MAX_BODY_BYTES)
    app.include_router(unsubscribe.router)
    app.include_router(sources.webhooks)
    app.include_router(portal.router)
    app.include_router(health.probes)
    app.include_router(prometheus.router)
    app.include_router(problem_pages.router)
    app.include_router(sign_in.router)


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[AppState]:
    database = _database(settings)
    probe = DatabaseProbe(
        settings.database_url.get_secret_value(), deadline_seconds=settings.readiness_timeout
    )
    worker_wakeup = (
        None if settings.redis_url is None else WorkerWakeup(settings.redis_url.get_secret_value())
    )
    identity_client, webhook_client = _identity_client(settings), HttpClient(trusted=settings.trusted_origins)
    app_state = AppState(
        settings=settings,
        database=database,
        database_probe=probe,
        ingest_batcher=IngestBatcher(database),
        worker_wakeup=worker_wakeup,
        messenger=Webhooks(webhook_client),
        event_stream=EventStream(database),
        company_metrics=CompanyMetricsCache(database, most=settings.metrics_companies),
        rate_limiter=_rate_limiter(settings),
        outgoing_for_webhooks=webhook_client,
        identity=_identity(settings, identity_client),
    )
    try:
        if settings.bootstrap_key is not None:
            await install_bootstrap_key(
                database,
                settings.bootstrap_key.get_secret_value(),
                pepper=settings.key_pepper.get_secret_value(),
            )
        yield app_state
    finally:
        await app_state.event_stream.close()
        await app_state.ingest_batcher.drain()
        if worker_wakeup is not None:
            await worker_wakeup.close()
        await app_state.rate_limiter.close()
        await identity_client.close()
        await webhook_client.close()
        await probe.close()
        await database.close()


def _database(settings: Settings) -> Database:
    return Database(
        settings.database_url.get_secret_value(),
        pool_size=settings.pool_size,
        pool_timeout=settings.pool_timeout,
        company_share=settings.company_share,
        statement_timeout_ms=round(settings.statement_timeout * 1000),
        application_name="journey-api",
        erasure_key=settings.erasure_key.get_secret_value(),
        vault_key=settings.vault_key.get_secret_value(),
    )


def _rate_limiter(settings: Settings) -> RateLimiter:
    url = settings.redis_url
    store = None if url is None else TokenBuckets(url.get_secret_value())
    return RateLimiter(store, processes=settings.api_processes)


def _identity_client(settings: Settings) -> HttpClient:
    """Returns the HTTP client for the identity provider, whose address from the settings is trusted."""
    trusted = set(settings.trusted_origins)
    if settings.oidc_issuer is not None:
        trusted |= {
            _origin_of(url) for url in (settings.oidc_issuer, settings.oidc_jwks_url) if url is not None
        }
    return HttpClient(trusted=trusted)


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _identity(settings: Settings, client: HttpClient) -> IdentityProvider | None:
    if settings.oidc_issuer is None or settings.oidc_audience is None:
        return None
    secret = settings.oidc_client_secret
    provider = Provider(
        issuer=settings.oidc_issuer,
        audience=settings.oidc_audience,
        operator_audience=settings.oidc_operator_audience,
        audience_claim=settings.oidc_audience_claim,
        algorithms=settings.oidc_algorithms,
        jwks_url=settings.oidc_jwks_url,
        client_id=settings.oidc_client_id,
        client_secret=None if secret is None else secret.get_secret_value(),
    )
    return IdentityProvider(provider, client)


def _add_middleware(app: FastAPI, settings: Settings) -> None:
    """Adds the middleware, the innermost first, with CORS for the configured origins."""
    app.add_middleware(RequestChecks, routes=app.routes, respond=problems.respond_status)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            # Session cookies work only for the service's own pages; other origins send a bearer token.
            allow_credentials=False,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=_ALLOWED_HEADERS,
            expose_headers=[
                *("ETag", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Next-Cursor", "X-Request-Id"),
            ],
            max_age=600,
        )
    app.add_middleware(RequestSlots)
    app.add_middleware(EncodedRefs)
    app.add_middleware(WebhookHandshake)
    app.add_middleware(TrailingNewline)
    app.add_middleware(Compression)
    app.add_middleware(HeadRequests)
    app.add_middleware(Telemetry, logs_access=settings.access_log)
    public = settings.public_url
    is_over_tls = settings.is_production if public is None else public.startswith("https:")
    app.add_middleware(ResponseHeaders, is_over_tls=is_over_tls)
