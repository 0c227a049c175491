"""Data directory of the embedded servers: ownership, secrets, and addresses of the running servers."""

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType

from journey_service.embedded.files import write_private
from journey_service.embedded.postgres import ROLE, Postgres, postgres_binaries
from journey_service.embedded.processes import (
    HOST,
    POLL_SECONDS,
    READY_SECONDS,
    AlreadyRunningError,
    EmbeddedError,
    Server,
    exists,
    make_traversable,
    server_account,
)
from journey_service.embedded.valkey import Valkey, stop_leftover_valkey, valkey_binary

_ADDRESS = "address"
_RUNNING = "running.json"
_SECRETS = "secrets.json"
SERVICE_SECRETS = ("key_pepper", "erasure_key", "vault_key")
"""Secrets without which the data cannot be used: a backup of a data directory contains them."""
_KEYS = ("erasure_key", "vault_key")
"""Secrets that data directories of earlier versions lack."""
_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, repr=False)  # a repr would write passwords into logs
class ServerAddresses:
    """Addresses of the running servers, and the secrets of the data directory.

    `redis_url` is None without Valkey. `secrets` holds `postgres_password`, `valkey_password`, `key_pepper`,
    `erasure_key`, and `vault_key`, which never change for a data directory.
    """

    database_url: str
    redis_url: str | None
    secrets: Mapping[str, str]


class EmbeddedServers:
    """Starts and stops the servers of a data directory; a context manager that yields their addresses.

    PostgreSQL listens on 127.0.0.1 only, at a port that changes with each start, with the superuser and the database
    `journey`. `postgres_settings` are server settings of this run, such as `{"fsync": "off"}`; they are visible in
    the process list. `postgres_bin` is the directory with `initdb`, `postgres`, and `pg_ctl` of another PostgreSQL
    (15 or later) than the one of the wheel.

    The directory becomes private (0700), unless it existed and holds other files.

    PostgreSQL refuses to run as root. Started by root, both servers run as the user `nobody`, or as the owner of
    existing data; the data is given to that user, and each directory on the path to it and to the binaries becomes
    traversable (`o+x` only) where it was not.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        postgres_bin: Path | None = None,
        with_valkey: bool = True,
        postgres_settings: Mapping[str, str] = _NO_SETTINGS,
    ) -> None:
        self.data_dir = data_dir.expanduser().resolve()
        self._postgres_bin = postgres_bin
        self._with_valkey = with_valkey
        self._postgres_settings = dict(postgres_settings)
        self._lock: int | None = None
        self._servers: tuple[Server, ...] = ()

    def __enter__(self) -> ServerAddresses:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> ServerAddresses:
        """Starts the servers and waits until they accept connections; the first start creates the data directory.

        Servers that a killed owner left running are stopped first. Blocks for up to a minute if PostgreSQL has to
        recover from a crash. Call it from the main thread: on Linux the kernel stops the servers when the *thread*
        that started them ends.

        Raises AlreadyRunningError while a process, this one included, owns the servers of the directory, and
        EmbeddedError if they do not start, if the wheels are missing, or if another major version of PostgreSQL
        created the data. No server is left running then.
        """
        self._lock_directory()
        try:
            return self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops the servers and releases the data directory. Idempotent."""
        if self._lock is None:
            return
        servers, self._servers = self._servers, ()
        try:
            # Removed first, so that no command connects to servers that are about to stop.
            (self.data_dir / _RUNNING).unlink(missing_ok=True)
            for server in servers:
                server.begin_stop()
            for server in servers:
                server.finish_stop()
        finally:
            # Forked children share the lock, so closing the descriptor would not release it.
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
            self._lock = None

    @property
    def is_alive(self) -> bool:
        """Whether the servers were started and all of them are running."""
        return bool(self._servers) and all(server.failure() is None for server in self._servers)

    def failures(self) -> dict[str, str]:
        """Returns the failures of servers that ended, by server name, with the end of their logs."""
        found = {server.name: server.failure() for server in self._servers}
        return {name: failure for name, failure in found.items() if failure is not None}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the servers that were started."""
        return tuple(server.name for server in self._servers)

    def restart(self, name: str) -> None:
        """Starts a server that has ended, at the same address, and waits until it accepts connections.

        On Linux the kernel stops the server when the thread that calls this ends. Raises EmbeddedError.
        """
        for server in self._servers:
            if server.name == name:
                server.restart()

    def check(self) -> None:
        """Checks that all started servers run. Raises EmbeddedError with the end of the log of a server that ended."""
        for failure in self.failures().values():
            raise EmbeddedError(failure)

    def replace_secrets(self, values: Mapping[str, str]) -> None:
        """Stores other secrets of the service, which are those of a restored backup. The servers must run."""
        path = self.data_dir / _SECRETS
        stored: dict[str, str] = json.loads(path.read_bytes())
        write_private(path, stored | {name: values[name] for name in SERVICE_SECRETS if name in values})

    def _lock_directory(self) -> None:
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock_file = self.data_dir / "lock"
        if lock_file.exists() or not any(self.data_dir.iterdir()):
            self.data_dir.chmod(0o711 if os.geteuid() == 0 else 0o700)
        lock = os.open(lock_file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise AlreadyRunningError(f"another `journey up` is already running on {self.data_dir}") from None
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock

    def _start(self) -> ServerAddresses:
        # May exist if the last owner was killed.
        (self.data_dir / _RUNNING).unlink(missing_ok=True)
        account = server_account(self.data_dir / "postgres")
        binaries = postgres_binaries() if self._postgres_bin is None else self._postgres_bin.resolve()
        postgres = Postgres(self.data_dir, account, binaries, self._postgres_settings)
        valkey = Valkey(self.data_dir, account, valkey_binary()) if self._with_valkey else None
        if account is not None:
            make_traversable([self.data_dir, binaries, *([valkey.binary.parent] if valkey else [])])
        postgres.check_major_version()
        secret_values = _read_secrets(self.data_dir, may_create=not postgres.is_initialized)
        postgres.stop_leftover_server()
        stop_leftover_valkey(self.data_dir)

        # Valkey starts while PostgreSQL initializes its data.
        if valkey is not None:
            self._servers = (valkey,)
            valkey.launch(secret_values["valkey_password"])
        postgres.initialize(secret_values["postgres_password"])
        self._servers = (*self._servers, postgres)
        postgres.launch()
        for server in self._servers:
            server.await_ready()

        servers = ServerAddresses(
            f"postgresql://{ROLE}:{secret_values['postgres_password']}@{HOST}:{postgres.port}/{ROLE}",
            None if valkey is None else f"redis://:{secret_values['valkey_password']}@{HOST}:{valkey.port}/0",
            secret_values,
        )
        write_private(
            self.data_dir / _RUNNING,
            {"pid": os.getpid(), "database_url": servers.database_url, "redis_url": servers.redis_url},
        )
        return servers


def write_address(data_dir: Path, address: str) -> None:
    """Stores the URL of `journey up`, for commands that print links."""
    write_private(data_dir.expanduser().resolve() / _ADDRESS, address)


def read_address(data_dir: Path) -> str | None:
    """Returns the URL of the last `journey up` on a data directory; None if there was none."""
    try:
        return (data_dir.expanduser().resolve() / _ADDRESS).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def connect_or_start(
    data_dir: Path,
    *,
    postgres_bin: Path | None = None,
    with_valkey: bool = True,
    postgres_settings: Mapping[str, str] = _NO_SETTINGS,
    timeout_seconds: float = READY_SECONDS,
) -> Iterator[ServerAddresses]:
    """Yields the servers of a data directory: those of a running owner, or newly started ones for the `with` block.

    Servers of another owner keep their settings and are left running. If that owner is starting or stopping, the call
    waits for it, up to `timeout_seconds`. Newly started servers are stopped at the end.

    Raises AlreadyRunningError if the owner neither starts nor ends in time, and the errors of
    `EmbeddedServers.start()`.
    """
    embedded = EmbeddedServers(
        data_dir, postgres_bin=postgres_bin, with_valkey=with_valkey, postgres_settings=postgres_settings
    )
    try:
        yield _join_or_start(embedded, time.monotonic() + timeout_seconds)
    finally:
        embedded.stop()


def _join_or_start(embedded: EmbeddedServers, deadline: float) -> ServerAddresses:
    while True:
        try:
            return embedded.start()
        except AlreadyRunningError:
            servers = _read_running(embedded.data_dir)
            if servers is not None:
                return servers
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_SECONDS)


def _read_running(data_dir: Path) -> ServerAddresses | None:
    """Returns the servers of the directory's owner; None if it has not started them yet."""
    try:
        running = json.loads((data_dir / _RUNNING).read_bytes())
    except FileNotFoundError:
        return None
    # A new owner removes the file of a killed owner shortly after it took the lock.
    if not exists(running["pid"]):
        return None
    return ServerAddresses(
        running["database_url"], running["redis_url"], json.loads((data_dir / _SECRETS).read_bytes())
    )


def _read_secrets(data_dir: Path, *, may_create: bool) -> Mapping[str, str]:
    path = data_dir / _SECRETS
    if path.exists():
        stored: dict[str, str] = json.loads(path.read_bytes())
        missing = [name for name in _KEYS if name not in stored]
        if missing:  # created by an earlier version
            stored |= {name: secrets.token_urlsafe(32) for name in missing}
            write_private(path, stored)
        return stored
    if not may_create:
        raise EmbeddedError(f"{path} is missing; without it the existing data cannot be used")
    made = {
        "postgres_password": secrets.token_urlsafe(24),
        "valkey_password": secrets.token_urlsafe(24),
        "key_pepper": secrets.token_urlsafe(32),
        **{name: secrets.token_urlsafe(32) for name in _KEYS},
    }
    write_private(path, made)
    return made
