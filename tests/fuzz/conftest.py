"""The application in a thread of its own, on a database of its own."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from conftest import Copied
from fuzz.application import Application, started
from journey_service.settings import Settings


@pytest.fixture(scope="module")
async def database_url(copied: Copied) -> str:
    """The URL of a database of these tests alone: operators create companies with any id in it."""
    return await copied("fuzz")


@pytest.fixture(scope="module")
def application(settings: Settings, database_url: str) -> Iterator[Application]:
    """The application, started on an event loop of its own thread; its worker does not disturb other tests."""
    with started(settings.model_copy(update={"database_url": SecretStr(database_url)})) as running:
        yield running
