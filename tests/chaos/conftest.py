"""Sizes, seeds, and a separate database for every test, because workers process all companies of a database."""

import os
import random
import secrets
from collections.abc import AsyncIterator, Iterator
from itertools import count

import asyncpg
import pytest

from chaos.receivers import Receivers
from chaos.receivers import receivers as opened
from chaos.system import SystemUnderTest
from conftest import ERASURE_KEY, PATIENT, VAULT_KEY, Copied
from journey_service.repositories.database import Database

_SIZES = ("ci", "chaos", "full")
_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "chaos" in item.path.parts:
            item.add_marker(pytest.mark.big)


@pytest.fixture(scope="session")
def size():
    """Returns a function that picks a number by the test size: `ci`, `chaos` (25 minutes) or `full`."""
    wanted = os.environ.get("JOURNEY_CHAOS", "ci")
    if wanted not in _SIZES:
        pytest.fail(f"JOURNEY_CHAOS must be one of {', '.join(_SIZES)}")

    def pick(*, ci, chaos, full):
        return {"ci": ci, "chaos": chaos, "full": full}[wanted]

    return pick


@pytest.fixture(scope="session")
def seed() -> str:
    """The seed of all random choices: JOURNEY_SEED, or a random one."""
    return os.environ.get("JOURNEY_SEED") or secrets.token_hex(4)


@pytest.fixture
def chance(seed: str, request: pytest.FixtureRequest) -> random.Random:
    """The random generator of a test; the same for the same seed, independent of other tests."""
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture
def receivers() -> Iterator[Receivers]:
    """A mail server and webhook receivers."""
    with opened() as servers:
        yield servers


@pytest.fixture
async def system(copied: Copied, receivers: Receivers) -> AsyncIterator[SystemUnderTest]:
    """An empty database with receivers."""
    url = await copied(f"chaos_{next(_numbers)}")
    database = Database(url, pool_size=10, **PATIENT, erasure_key=ERASURE_KEY, vault_key=VAULT_KEY)
    owner = await asyncpg.connect(url)
    yield SystemUnderTest(url, database, owner, receivers)
    await owner.close()
    await database.close()
