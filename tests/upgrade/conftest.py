"""The fixtures of the tests with faults."""

import pytest

import statements
from chaos.conftest import chance, receivers, seed, size, system

__all__ = ["chance", "receivers", "seed", "size", "system"]


@pytest.fixture(autouse=True)
def unrecorded():
    """Keeps statements of the next schema from those that the oldest PostgreSQL prepares with the present one."""
    with statements.unrecorded():
        yield
