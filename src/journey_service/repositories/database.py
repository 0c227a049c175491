"""Database connections and transactions.

Each database role has an engine of its own. A unit of work is bound to one company for the length of its
transaction, is run again after a conflict with another transaction, and returns only after the commit.
"""

import sys
from asyncio import get_running_loop
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Final, TypeVar

import orjson
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from journey_service.domain.access.records import KeyedRequest
from journey_service.domain.errors import (
    ConcurrentChangeError,
    InvalidInputError,
    Resource,
    RetriesExhaustedError,
    UnavailableError,
)
from journey_service.domain.operations.work import WorkKind
from journey_service.repositories.access.idempotency_keys import KEYED_REQUEST
from journey_service.repositories.access.vault import Vault
from journey_service.repositories.connections import STATEMENTS_PER_DEADLINE, connect, install_ping
from journey_service.repositories.customers.tombstones import ErasureKey
from journey_service.repositories.database_errors import (
    DATABASE_ERRORS,
    is_conflict,
    mark_lost_connections,
    to_domain_error,
)
from journey_service.repositories.fair_shares import QUEUE_LIMIT, FairShares
from journey_service.repositories.unit_of_work import CredentialLookup, DueWorkReader, UnitOfWork

T = TypeVar("T")

APP_ROLE: Final = "journey_app"
DISPATCHER_ROLE: Final = "journey_dispatcher"

EXPENSIVE_SHARE: Final = 0.6
"""Part of the pool that has slots for expensive requests; one company holds at most two thirds of them."""
EXPENSIVE_QUEUE_LIMIT: Final = 20
"""Expensive requests of one company that may wait for a slot; further ones are rejected at once."""
LOOKUP_CONNECTIONS: Final = 3
"""Connections for the lookup of credentials, apart from those of requests."""

LOCK_TIMEOUT = "2s"
"""Time that a statement waits for a lock of another transaction."""
IDLE_TRANSACTION_TIMEOUT = "10s"
"""Time after which PostgreSQL ends a transaction whose process sends nothing, and so frees its locks."""

_MAX_ATTEMPTS: Final = 5
_SETTINGS: Final = (
    "SELECT set_config('app.company_id', :company, true), set_config('statement_timeout', :timeout, true)"
)
# Transactions of a company run concurrently; an exclusive one waits for those that have begun, later ones for it.
_BIND: Final = text(f"{_SETTINGS}, pg_advisory_xact_lock_shared(CAST(:company AS bigint))")
_BIND_EXCLUSIVE: Final = text(f"{_SETTINGS}, pg_advisory_xact_lock(CAST(:company AS bigint))")


class Database:
    """The connection pools of one process: one for tenants, one for credentials, one for due work across tenants.

    `erasure_key` is the secret behind the hashes of erased customers; `vault_key` encrypts the secrets of
    companies. A company uses at most the part `company_share` of the tenants' pool at a time.

    A statement may take `statement_timeout_ms` milliseconds. A transaction, with its repetitions after conflicts, may
    wait `pool_timeout` seconds for a connection and then take twice as long as a statement: at this deadline its
    connection is closed, even if the server does not respond.
    """

    def __init__(  # noqa: PLR0913  # each is a setting of the pools
        self,
        url: str,
        *,
        pool_size: int = 10,
        pool_timeout: float = 0.5,
        statement_timeout_ms: int = 5_000,
        application_name: str = "journey",
        erasure_key: str | None = None,
        vault_key: str | None = None,
        company_share: float = 1.0,
    ) -> None:
        self._erasure_key = None if erasure_key is None else ErasureKey(erasure_key)
        self._vault = None if vault_key is None else Vault(vault_key)
        self._statement_timeout_ms = statement_timeout_ms
        self._pool_timeout = pool_timeout
        self._app = _engine(url, APP_ROLE, pool_size, pool_timeout, application_name)
        self._credentials = _engine(
            url, APP_ROLE, LOOKUP_CONNECTIONS, pool_timeout, f"{application_name}-credentials"
        )
        self._dispatcher = _engine(
            url, DISPATCHER_ROLE, 1, max(5.0, pool_timeout), f"{application_name}-dispatcher"
        )
        # Only processes that serve several companies at once divide the connections; others wait in any number.
        queue_limit = QUEUE_LIMIT if company_share < 1 else sys.maxsize
        self._shares = FairShares(
            pool_size, round(pool_size * company_share), timeout=pool_timeout, queue_limit=queue_limit
        )
        slots = max(1, round(pool_size * EXPENSIVE_SHARE))
        self._slots = FairShares(
            slots, slots * 2 // 3, timeout=pool_timeout, queue_limit=EXPENSIVE_QUEUE_LIMIT
        )
        # Credentials that were valid lately and all others use at most two of the three connections.
        self._lookups = FairShares(LOOKUP_CONNECTIONS, LOOKUP_CONNECTIONS - 1, timeout=pool_timeout)

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

        Raises UnavailableError if the database is unreachable, overloaded, full or read-only, or the deadline has
        passed, RetriesExhaustedError if every attempt failed by a conflict, and what the unit of work raises, with
        nothing changed.
        """
        options = _Options(
            self._statement_timeout_ms if timeout_ms is None else timeout_ms, is_exclusive, is_repeatable_read
        )

        deadline = self._deadline(options.timeout_ms)

        @asynccontextmanager
        async def share() -> AsyncIterator[AsyncConnection]:
            async with self._shares.hold(company_id), connect(self._app, deadline) as connection:
                yield connection

        return await self._run(company_id, unit, share, options)

    def admit(self, company_id: int, kind: WorkKind) -> AbstractAsyncContextManager[None]:
        """Holds a slot of the company for an expensive request during a `with` block; other requests need none.

        Raises UnavailableError after the pool's time limit, or if too many requests of the company wait.
        """
        return self._slots.hold(company_id, kind.slots) if kind.slots else nullcontext()

    async def _run(
        self,
        company_id: int,
        unit: Callable[[UnitOfWork], Awaitable[T]],
        connection_of: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
        options: "_Options",
    ) -> T:
        last: Exception | None = None
        for _ in range(_MAX_ATTEMPTS):
            try:
                async with connection_of() as connection:
                    uow = UnitOfWork(connection, company_id, self._erasure_key, self._vault)
                    result = await _commit(uow, connection, unit, options)
            except ConcurrentChangeError as error:
                last = error
            except DATABASE_ERRORS as error:
                if not is_conflict(error):
                    raise to_domain_error(error) from error
                last = error
            else:
                for call in uow.after_commit:
                    call()
                return result
        raise RetriesExhaustedError from last

    async def read_due_work(self, unit: Callable[[DueWorkReader], Awaitable[T]]) -> T:
        """Reads due work of all companies, in the role of the dispatcher. Raises UnavailableError."""
        deadline = self._deadline(self._statement_timeout_ms)
        try:
            async with connect(self._dispatcher, deadline) as connection, connection.begin():
                return await unit(DueWorkReader(connection))
        except DATABASE_ERRORS as error:
            raise to_domain_error(error) from error

    async def look_up_credential(
        self, unit: Callable[[CredentialLookup], Awaitable[T]], *, is_known: bool = True
    ) -> T:
        """Looks up a credential before its company is known, over connections that serve nothing else.

        Credentials that are not `is_known` to have been valid leave one of them free. Raises UnavailableError.
        """
        deadline = self._deadline(self._statement_timeout_ms)
        try:
            async with (
                self._lookup_connection(deadline, is_known=is_known) as connection,
                connection.begin(),
            ):
                return await unit(CredentialLookup(connection))
        except DATABASE_ERRORS as error:
            raise to_domain_error(error) from error

    async def run_for_credential(
        self, company_id: int, unit: Callable[[UnitOfWork], Awaitable[T]], *, is_known: bool = True
    ) -> T:
        """Like `run`, over the connections of `look_up_credential`: for sessions, whose tokens name their company."""
        options = _Options(self._statement_timeout_ms)
        deadline = self._deadline(options.timeout_ms)
        return await self._run(
            company_id, unit, lambda: self._lookup_connection(deadline, is_known=is_known), options
        )

    @asynccontextmanager
    async def _lookup_connection(self, deadline: float, *, is_known: bool) -> AsyncIterator[AsyncConnection]:
        held = self._lookups.hold(int(is_known))
        try:
            await held.__aenter__()
        except UnavailableError as error:
            raise UnavailableError(resource=Resource.CREDENTIALS) from error
        try:
            async with connect(self._credentials, deadline) as connection:
                yield connection
        finally:
            await held.__aexit__(None, None, None)

    def _deadline(self, timeout_ms: int) -> float:
        """Returns when a transaction that begins now, with its repetitions, is given up, in time of the event loop."""
        return get_running_loop().time() + self._pool_timeout + STATEMENTS_PER_DEADLINE * timeout_ms / 1000

    @property
    def pool_in_use(self) -> int:
        """The number of connections of the tenants' pool that are in use."""
        pool = self._app.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    async def close(self) -> None:
        """Closes every connection."""
        await self._app.dispose()
        await self._credentials.dispose()
        await self._dispatcher.dispose()


@dataclass(frozen=True, slots=True)
class _Options:
    """How a transaction runs: its statement timeout in milliseconds, and its isolation."""

    timeout_ms: int
    is_exclusive: bool = False
    is_repeatable_read: bool = False


async def _commit(
    uow: UnitOfWork,
    connection: AsyncConnection,
    unit: Callable[[UnitOfWork], Awaitable[T]],
    options: _Options,
) -> T:
    """Runs a unit of work in a transaction that is bound to its company; the key of the request is claimed with it."""
    if options.is_repeatable_read:
        await connection.execution_options(isolation_level="REPEATABLE READ")
    keyed = _keyed_request(uow.company_id)
    is_claimed = False
    async with connection.begin():
        bind = _BIND_EXCLUSIVE if options.is_exclusive else _BIND
        await connection.execute(bind, {"company": str(uow.company_id), "timeout": str(options.timeout_ms)})
        if keyed is not None:
            await uow.idempotency_keys.lock(keyed.key)
        result = await unit(uow)
        if keyed is not None:
            is_claimed = await uow.idempotency_keys.claim(keyed)
    if keyed is not None:
        keyed.is_claimed = is_claimed
    return result


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


def _keyed_request(company_id: int) -> KeyedRequest | None:
    """Returns the request that is being carried out for the company, if it has a key that is not claimed yet."""
    keyed = KEYED_REQUEST.get()
    return keyed if keyed is not None and not keyed.is_claimed and keyed.company_id == company_id else None


def _engine(url: str, role: str, size: int, timeout: float, application_name: str) -> AsyncEngine:
    engine = create_async_engine(
        async_url(url),
        pool_size=size,
        max_overflow=0,
        pool_timeout=timeout,
        pool_recycle=1800,
        hide_parameters=True,  # errors are logged, and values are personal data
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        connect_args={
            "timeout": 3,
            "server_settings": {
                "role": role,
                "application_name": application_name,
                "lock_timeout": LOCK_TIMEOUT,
                "idle_in_transaction_session_timeout": IDLE_TRANSACTION_TIMEOUT,
                # Otherwise most of the time of statements over arrays goes to planning.
                "plan_cache_mode": "force_generic_plan",
                "jit": "off",
                "timezone": "UTC",
            },
        },
    )
    install_ping(engine)
    mark_lost_connections(engine)
    return engine
