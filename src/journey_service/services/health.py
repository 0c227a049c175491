"""Whether the service can do its work right now."""

from dataclasses import dataclass

from journey_service.domain.errors import UnavailableError
from journey_service.repositories.database import Database
from journey_service.repositories.health import SCHEMA_REVISION


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the database answers, and whether its schema is the one this version is written for."""

    database: bool
    schema: bool


async def check(database: Database) -> Readiness:
    """Ask the database."""
    try:
        revision = await database.dispatch(lambda dispatch: dispatch.health.revision())
    except UnavailableError:
        return Readiness(database=False, schema=False)
    return Readiness(database=True, schema=revision == SCHEMA_REVISION)
