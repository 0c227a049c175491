"""create_app(): the composition root of the API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from importlib.resources import files

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

from journey_service.api import (
    admin,
    analytics,
    contract,
    customers,
    events,
    explanations,
    health,
    imports,
    journeys,
    operations,
    portal,
    previews,
    problems,
    stages,
)
from journey_service.api.bodies import SMALL_BODY
from journey_service.api.dependencies import House
from journey_service.gateways.doorbell import Doorbell
from journey_service.repositories.database import Database
from journey_service.services.credentials import install_bootstrap_key
from journey_service.services.intake import Intake
from journey_service.settings import Settings, read_settings


def create_app(settings: Settings | None = None) -> FastAPI:
    """The API, with everything it needs taken from the settings (by default the environment's)."""
    chosen = settings if settings is not None else read_settings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with _open(chosen) as house:
            app.state.house = house
            yield

    app = FastAPI(
        title="Customer journey service",
        version=version("journey-service"),
        description=contract.DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        strict_content_type=False,
        generate_unique_id_function=lambda route: route.name,
    )
    # Set below the application's own middleware, which gives the refusal the form of every other problem.
    api = APIRouter(prefix="/api/v1", max_body_size=SMALL_BODY)
    for module in (
        events,
        customers,
        journeys,
        explanations,
        imports,
        stages,
        previews,
        analytics,
        operations,
        admin,
    ):
        api.include_router(module.router)
    app.include_router(api)
    app.include_router(portal.router)
    app.include_router(health.router)
    problems.install(app)
    contract.install(app)
    _serve_docs(app)
    return app


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[House]:
    database = Database(
        settings.database_url.get_secret_value(),
        pool_size=settings.pool_size,
        pool_timeout=settings.pool_timeout,
        application_name="journey-api",
    )
    doorbell = None if settings.redis_url is None else Doorbell(settings.redis_url.get_secret_value())
    house = House(settings, database, Intake(database), doorbell)
    try:
        if settings.bootstrap_key is not None:
            await install_bootstrap_key(
                database,
                settings.bootstrap_key.get_secret_value(),
                pepper=settings.key_pepper.get_secret_value(),
            )
        yield house
    finally:
        await house.intake.drain()
        if doorbell is not None:
            await doorbell.close()
        await database.close()


def _serve_docs(app: FastAPI) -> None:
    # The documentation's scripts come with the package: the service calls nobody.
    assets = files("fastapi_offline") / "static"
    app.mount("/docs/assets", StaticFiles(directory=str(assets)), name="docs-assets")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url="/docs/assets/swagger-ui-bundle.js",
            swagger_css_url="/docs/assets/swagger-ui.css",
            swagger_favicon_url="/docs/assets/favicon.png",
        )
