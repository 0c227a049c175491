"""Sizes, seeds, and a ground of its own for every test: workers look at every company there is."""

import os
import random
import secrets
from collections.abc import AsyncIterator, Iterator
from itertools import count

import asyncpg
import pytest

from chaos.ground import Ground
from chaos.outside import Outside
from chaos.outside import outside as opened
from conftest import ERASURE_KEY, VAULT_KEY, Copied
from journey_service.repositories.database import Database

_SIZES = ("ci", "chaos", "full")
_numbers = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "chaos" in item.path.parts:
            item.add_marker(pytest.mark.big)


@pytest.fixture(scope="session")
def size():
    """Picks one of three numbers: for every commit, for 25 minutes, and the plan's own."""
    wanted = os.environ.get("JOURNEY_CHAOS", "ci")
    if wanted not in _SIZES:
        pytest.fail(f"JOURNEY_CHAOS must be one of {', '.join(_SIZES)}")

    def pick(*, ci, chaos, full):
        return {"ci": ci, "chaos": chaos, "full": full}[wanted]

    return pick


@pytest.fixture(scope="session")
def seed() -> str:
    """What chance is made from: JOURNEY_SEED, or any."""
    return os.environ.get("JOURNEY_SEED") or secrets.token_hex(4)


@pytest.fixture
def chance(seed: str, request: pytest.FixtureRequest) -> random.Random:
    """The test's own chance: the same under the same seed, whichever tests run."""
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture
def outside() -> Iterator[Outside]:
    """A mail server and the companies' own systems."""
    with opened() as servers:
        yield servers


@pytest.fixture
async def ground(copied: Copied, outside: Outside) -> AsyncIterator[Ground]:
    """An empty database, and the systems outside."""
    url = await copied(f"chaos_{next(_numbers)}")
    database = Database(url, pool_size=10, pool_timeout=30, erasure_key=ERASURE_KEY, vault_key=VAULT_KEY)
    owner = await asyncpg.connect(url)
    yield Ground(url, database, owner, outside)
    await owner.close()
    await database.close()
