"""The application in this process, without a network socket, as clients of one company see it."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from journey_service.domain.access.actors import Actor
from journey_service.main import create_app
from journey_service.services.access.credentials import KeyRequest, create_key
from journey_service.settings import Settings

PEPPER, VAULT_KEY = secrets.token_hex(16), secrets.token_hex(16)
NO_LIMITS = {
    # Benchmarks measure the service, not its rate limits.
    "JOURNEY_KEY_REQUEST_LIMIT": "1000000",
    "JOURNEY_COMPANY_REQUEST_LIMIT": "1000000",
    "JOURNEY_KEY_EVENT_LIMIT": "1000000",
    "JOURNEY_COMPANY_EVENT_LIMIT": "1000000",
}


@asynccontextmanager
async def client_of(url: str, company_id: int) -> AsyncIterator[httpx.AsyncClient]:
    """Runs the application over a database during an `async with` block; yields a client with a key of the company."""
    settings = Settings.model_validate(
        {
            **NO_LIMITS,
            "DATABASE_URL": url,
            "JOURNEY_ENVIRONMENT": "development",
            "JOURNEY_KEY_PEPPER": PEPPER,
            "JOURNEY_ERASURE_KEY": secrets.token_hex(16),
            "JOURNEY_VAULT_KEY": VAULT_KEY,
        }
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        database = app.state.app_state.database
        request = KeyRequest("bench", ["*"])
        key = await create_key(database, company_id, request, pepper=PEPPER, by=Actor("bench"))
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://bench",
            headers={"Authorization": f"Bearer {key.token}"},
            timeout=60,
        ) as client:
            yield client
