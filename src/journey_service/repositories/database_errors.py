"""Maps errors of the database to errors of the domain, by SQLSTATE."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from journey_service.domain.errors import (
    DatabaseFullError,
    DatabaseReadOnlyError,
    Resource,
    UnavailableError,
)

# Conflicts: serialization failure, deadlock, duplicate key, cached plan of a changed table. The transaction has been
# rolled back, so the unit of work is run again.
_CONFLICTS: Final = frozenset({"40001", "40P01", "23505", "0A000"})

_UNREACHABLE: Final = partial(
    UnavailableError,
    "The database cannot be reached. Try again in a few seconds.",
    resource=Resource.DATABASE,
)
_POOL_IN_USE: Final = partial(
    UnavailableError,
    "All database connections of the service are in use. Try again in a few seconds.",
    resource=Resource.POOL,
)
_NO_CONNECTION: Final = partial(
    UnavailableError,
    "All connections of the database are in use. Try again in a few seconds.",
    resource=Resource.CONNECTIONS,
)
_NO_MEMORY: Final = partial(
    UnavailableError,
    "The database server lacks memory or another resource. Try again in a few seconds.",
    resource=Resource.MEMORY,
)
_OUT_OF_TIME: Final = partial(
    UnavailableError, "The database took too long. Try again in a few seconds.", resource=Resource.TIME
)
_NOT_MIGRATED: Final = partial(
    UnavailableError,
    "The database does not have the schema of this version: run the migrations.",
    resource=Resource.SCHEMA,
)
_ACCESS_REFUSED: Final = partial(
    UnavailableError,
    "The database does not exist or refuses this login: check DATABASE_URL.",
    resource=Resource.DATABASE,
)
_LOCKED: Final = partial(
    UnavailableError,
    "Other transactions keep the data locked. Try again in a few seconds.",
    resource=Resource.LOCKS,
)

_BY_SQLSTATE: Final[Mapping[str, Callable[[], UnavailableError]]] = {
    # Insufficient resources: one state each, then the class.
    "53100": DatabaseFullError,
    "53300": _NO_CONNECTION,
    "53": _NO_MEMORY,
    # Input or output error of the disk, and temporary files above temp_file_limit.
    "58030": partial(
        UnavailableError, "The database cannot use its disk. Try again later.", resource=Resource.DISK
    ),
    "53400": _NO_MEMORY,
    # Read-only: a standby, or default_transaction_read_only.
    "25006": DatabaseReadOnlyError,
    # A transaction was idle or ran for too long; a statement was cancelled; a lock was not available.
    "25P03": _OUT_OF_TIME,
    "25P04": _OUT_OF_TIME,
    "57014": _OUT_OF_TIME,
    "55P03": _LOCKED,
    "55006": _LOCKED,
    # The server shuts down, crashed, starts, or the database was dropped or its session was idle for too long.
    "57P": _UNREACHABLE,
    # Connection exceptions.
    "08": _UNREACHABLE,
    # No such table or role.
    "42P01": _NOT_MIGRATED,
    "22023": _NOT_MIGRATED,
    "42704": _NOT_MIGRATED,
    # No such login or database, or a wrong password.
    "28": _ACCESS_REFUSED,
    "3D000": _ACCESS_REFUSED,
}
"""Errors by SQLSTATE or its beginning; the longest one that matches counts."""


DATABASE_ERRORS: Final = (
    *(DBAPIError, PoolTimeoutError, OSError),
    *(asyncpg.PostgresError, asyncpg.InterfaceError),
)
"""Errors of the driver, of the pool, and of the network."""


class UnexpectedDatabaseError(Exception):
    """The database refused a statement for an unexpected reason. The text contains no SQL."""

    def __init__(self, error: DBAPIError) -> None:
        super().__init__(f"the database refused a statement ({sqlstate_of(error) or type(error).__name__})")


def sqlstate_of(error: BaseException) -> str | None:
    """Returns the SQLSTATE of an error of SQLAlchemy or of the driver; None if it has none."""
    return getattr(getattr(error, "orig", None) or error, "sqlstate", None)


def is_conflict(error: Exception) -> bool:
    """Returns whether a transaction lost a race with another one, so that it may succeed when it is run again."""
    return sqlstate_of(error) in _CONFLICTS


def outage_of(sqlstate: str | None) -> UnavailableError | None:
    """Returns the error of an outage or a lack of resources; None for any other SQLSTATE."""
    for length in (5, 3, 2):
        make = _BY_SQLSTATE.get((sqlstate or "")[:length])
        if make is not None:
            return make()
    return None


def to_domain_error(error: Exception) -> Exception:
    """Returns the error of the domain for an error of the driver, of the pool, or of the network."""
    if isinstance(error, PoolTimeoutError):
        return _POOL_IN_USE()
    if isinstance(error, asyncpg.PostgresError):  # raised while a connection is opened
        return outage_of(error.sqlstate) or _UNREACHABLE()
    if not isinstance(error, DBAPIError):
        return _OUT_OF_TIME() if isinstance(error, TimeoutError) else _UNREACHABLE()
    outage = outage_of(sqlstate_of(error))
    if outage is not None:
        return outage
    is_lost = error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
    return _UNREACHABLE() if is_lost else UnexpectedDatabaseError(error)


def mark_lost_connections(engine: AsyncEngine) -> None:
    """Marks errors of lost connections, so that they differ from refused statements."""
    event.listen(engine.sync_engine, "handle_error", _mark)


def _mark(context: ExceptionContext) -> None:
    if context.is_disconnect and isinstance(context.sqlalchemy_exception, DBAPIError):
        context.sqlalchemy_exception.connection_invalidated = True
