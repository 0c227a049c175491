"""Database connections and transactions.

Each database role has an engine of its own. A unit of work is bound to one company for the length of its
transaction, is run again after a conflict with another transaction, and returns only after the commit.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import orjson
from sqlalchemy import event, text
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from journey_service.domain.errors import InvalidInputError, RetriesExhaustedError, UnavailableError
from journey_service.repositories.access.vault import Vault
from journey_service.repositories.customers.tombstones import ErasureKey
from journey_service.repositories.unit_of_work import CredentialLookup, DueWorkReader, UnitOfWork

T = TypeVar("T")

APP_ROLE: Final = "journey_app"
DISPATCHER_ROLE: Final = "journey_dispatcher"

_MAX_ATTEMPTS: Final = 5
# Conflicts: serialization failure, deadlock, duplicate key, cached plan of a changed table. The transaction has been
# rolled back, so the unit of work is run again.
_LOST_RACE: Final = frozenset({"40001", "40P01", "23505", "0A000"})
# No such table or role: the database has not been migrated.
_NOT_MIGRATED: Final = frozenset({"42P01", "22023", "42704"})
# No such login or database, or a wrong password: the settings are wrong.
_ACCESS_REFUSED: Final = frozenset({"28000", "28P01", "3D000"})
_SATURATED: Final = frozenset(
    {"57014", "55P03", "53300", "57P01", "57P02", "57P03", "08006", "08001", "08003"}
)

_SETTINGS: Final = (
    "SELECT set_config('app.company_id', :company, true), set_config('statement_timeout', :timeout, true)"
)
# Transactions of a company run concurrently; an exclusive one waits for those that have begun, later ones for it.
_BIND: Final = text(f"{_SETTINGS}, pg_advisory_xact_lock_shared(CAST(:company AS bigint))")
_BIND_EXCLUSIVE: Final = text(f"{_SETTINGS}, pg_advisory_xact_lock(CAST(:company AS bigint))")


class UnexpectedDatabaseError(Exception):
    """The database refused a statement for an unexpected reason. The text contains no SQL."""

    def __init__(self, error: DBAPIError) -> None:
        super().__init__(f"the database refused a statement ({_sqlstate(error) or type(error).__name__})")


class Database:
    """The connection pools of one process: one for tenants, one for due work across tenants.

    `erasure_key` is the secret behind the hashes of erased customers; `vault_key` encrypts the secrets of
    companies.
    """

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        pool_timeout: float = 0.5,
        statement_timeout_ms: int = 5_000,
        application_name: str = "journey",
        erasure_key: str | None = None,
        vault_key: str | None = None,
    ) -> None:
        self._erasure_key = None if erasure_key is None else ErasureKey(erasure_key)
        self._vault = None if vault_key is None else Vault(vault_key)
        self._statement_timeout_ms = statement_timeout_ms
        self._app = _engine(url, APP_ROLE, pool_size, pool_timeout, application_name)
        self._dispatcher = _engine(url, DISPATCHER_ROLE, 1, 5.0, f"{application_name}-dispatcher")

    async def run(
        self,
        company_id: int,
        unit: Callable[[UnitOfWork], Awaitable[T]],
        *,
        timeout_ms: int | None = None,
        is_exclusive: bool = False,
        is_repeatable_read: bool = False,
    ) -> T:
        """Runs a unit of work for one company in a transaction and commits it.

        An `is_exclusive` unit starts after every transaction of the company that began before it has ended,
        and holds back those that begin later; keep it short. An `is_repeatable_read` unit reads one
        consistent snapshot.

        Raises UnavailableError if the database is unreachable or overloaded, RetriesExhaustedError if every attempt
        failed by a conflict, and what the unit of work raises, with nothing changed.
        """
        last: Exception | None = None
        for _ in range(_MAX_ATTEMPTS):
            try:
                async with self._transaction(
                    company_id, timeout_ms, is_exclusive=is_exclusive, is_repeatable_read=is_repeatable_read
                ) as connection:
                    uow = UnitOfWork(connection, company_id, self._erasure_key, self._vault)
                    result = await unit(uow)
            except DBAPIError as error:
                if _sqlstate(error) not in _LOST_RACE:
                    raise _to_domain_error(error) from error
                last = error
            except (PoolTimeoutError, OSError) as error:
                raise UnavailableError from error
            else:
                for call in uow.after_commit:
                    call()
                return result
        raise RetriesExhaustedError from last

    async def read_due_work(self, unit: Callable[[DueWorkReader], Awaitable[T]]) -> T:
        """Reads due work of all companies, in the role of the dispatcher. Raises UnavailableError."""
        try:
            async with self._dispatcher.connect() as connection, connection.begin():
                return await unit(DueWorkReader(connection))
        except DBAPIError as error:
            raise _to_domain_error(error) from error
        except (PoolTimeoutError, OSError) as error:
            raise UnavailableError from error

    async def look_up_credential(self, unit: Callable[[CredentialLookup], Awaitable[T]]) -> T:
        """Looks up a credential before its company is known. Raises UnavailableError."""
        try:
            async with self._app.connect() as connection, connection.begin():
                return await unit(CredentialLookup(connection))
        except DBAPIError as error:
            raise _to_domain_error(error) from error
        except (PoolTimeoutError, OSError) as error:
            raise UnavailableError from error

    @property
    def pool_in_use(self) -> int:
        """The number of connections of the tenants' pool that are in use."""
        pool = self._app.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    async def close(self) -> None:
        """Closes every connection."""
        await self._app.dispose()
        await self._dispatcher.dispose()

    @asynccontextmanager
    async def _transaction(
        self, company_id: int, timeout_ms: int | None, *, is_exclusive: bool, is_repeatable_read: bool
    ) -> AsyncIterator[AsyncConnection]:
        timeout = str(self._statement_timeout_ms if timeout_ms is None else timeout_ms)
        async with self._app.connect() as connection:
            if is_repeatable_read:
                await connection.execution_options(isolation_level="REPEATABLE READ")
            async with connection.begin():
                bind = _BIND_EXCLUSIVE if is_exclusive else _BIND
                await connection.execute(bind, {"company": str(company_id), "timeout": timeout})
                yield connection


def async_url(url: str) -> str:
    """Returns the URL with the asyncpg driver.

    Raises InvalidInputError, whose text does not repeat the password.
    """
    try:
        parts = make_url(url)
    except (ArgumentError, ValueError):
        example = "postgresql://login:password@host:5432/name"
        raise InvalidInputError.at("DATABASE_URL", f"must be a database URL such as {example}") from None
    return parts.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)


def _engine(url: str, role: str, size: int, timeout: float, application_name: str) -> AsyncEngine:
    engine = create_async_engine(
        async_url(url),
        pool_size=size,
        max_overflow=0,
        pool_timeout=timeout,
        pool_pre_ping=True,
        pool_recycle=1800,
        hide_parameters=True,  # errors are logged, and values are personal data
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        connect_args={
            "timeout": 3,
            "command_timeout": 60,
            "server_settings": {
                "role": role,
                "application_name": application_name,
                "lock_timeout": "2s",
                "idle_in_transaction_session_timeout": "10s",
                # Otherwise most of the time of statements over arrays goes to planning.
                "plan_cache_mode": "force_generic_plan",
                "jit": "off",
                "timezone": "UTC",
            },
        },
    )
    event.listen(engine.sync_engine, "handle_error", _keep_sqlstate)
    return engine


def _keep_sqlstate(context: ExceptionContext) -> None:
    """Marks an error of a lost connection, so that it differs from a refused statement."""
    if context.is_disconnect and isinstance(context.sqlalchemy_exception, DBAPIError):
        context.sqlalchemy_exception.connection_invalidated = True


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _to_domain_error(error: DBAPIError) -> Exception:
    if _sqlstate(error) in _NOT_MIGRATED:
        return UnavailableError("The database does not have the schema of this version: run the migrations.")
    if _sqlstate(error) in _ACCESS_REFUSED:
        return UnavailableError("The database does not exist or refuses this login: check DATABASE_URL.")
    lost = error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
    return UnavailableError() if lost or _sqlstate(error) in _SATURATED else UnexpectedDatabaseError(error)
