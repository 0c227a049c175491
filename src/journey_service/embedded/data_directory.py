"""The data directory: its owner, the secrets, and the addresses of the running servers."""

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
from journey_service.embedded.valkey import Valkey, stop_orphaned_valkey, valkey_binary

_ADDRESS = "address"
_RUNNING = "running.json"
_SECRETS = "secrets.json"
_KEYS = ("erasure_key", "vault_key")
"""Secrets that data directories of earlier versions lack."""
_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, repr=False)  # a repr would carry the passwords into logs
class Servers:
    """Addresses of the running servers, and the secrets of their data directory.

    `redis_url` is None without Valkey. `secrets` holds `postgres_password`, `valkey_password`, `key_pepper`,
    `erasure_key`, and `vault_key`, which never change for a data directory.
    """

    database_url: str
    redis_url: str | None
    secrets: Mapping[str, str]


class EmbeddedServers:
    """The servers of one data directory: a context manager over `start()` and `stop()` that yields Servers.

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

    def __enter__(self) -> Servers:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Servers:
        """Starts the servers and waits until they answer; the first start creates the data directory.

        Servers that a killed owner left running are stopped first. Blocks for up to a minute if PostgreSQL has to
        recover from a crash. Call it from the main thread: on Linux the kernel stops the servers when the *thread*
        that started them ends.

        Raises AlreadyRunningError while a process, this one included, owns the servers of the directory, and
        EmbeddedError if they do not start, if the wheels are missing, or if another major version of PostgreSQL
        created the data. No server is left running then.
        """
        self._claim()
        try:
            return self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stops the servers and releases the data directory; does nothing if that is done already."""
        if self._lock is None:
            return
        servers, self._servers = self._servers, ()
        try:
            # First, so that no command connects to servers that are about to stop.
            (self.data_dir / _RUNNING).unlink(missing_ok=True)
            for server in servers:
                server.begin_stop()
            for server in servers:
                server.finish_stop()
        finally:
            # Closing the descriptor alone would leave the lock to forked children, which share it.
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
            self._lock = None

    @property
    def is_alive(self) -> bool:
        """Whether the servers were started and all of them are running."""
        return bool(self._servers) and all(server.fault() is None for server in self._servers)

    def faults(self) -> dict[str, str]:
        """Returns how servers have died, by server name, with the end of their logs."""
        found = {server.name: server.fault() for server in self._servers}
        return {name: fault for name, fault in found.items() if fault is not None}

    def check(self) -> None:
        """Checks that all started servers run. Raises EmbeddedError with the end of the log of a dead one."""
        for fault in self.faults().values():
            raise EmbeddedError(fault)

    def _claim(self) -> None:
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

    def _start(self) -> Servers:
        # Left by an owner that was killed.
        (self.data_dir / _RUNNING).unlink(missing_ok=True)
        account = server_account(self.data_dir / "postgres")
        binaries = postgres_binaries() if self._postgres_bin is None else self._postgres_bin.resolve()
        postgres = Postgres(self.data_dir, account, binaries, self._postgres_settings)
        valkey = Valkey(self.data_dir, account, valkey_binary()) if self._with_valkey else None
        if account is not None:
            make_traversable([self.data_dir, binaries, *([valkey.binary.parent] if valkey else [])])
        postgres.check_major_version()
        values = _read_secrets(self.data_dir, may_make=not postgres.is_made)
        postgres.stop_orphan()
        stop_orphaned_valkey(self.data_dir)

        # Valkey starts while PostgreSQL initializes its data.
        if valkey is not None:
            self._servers = (valkey,)
            valkey.launch(values["valkey_password"])
        postgres.make(values["postgres_password"])
        self._servers = (*self._servers, postgres)
        postgres.launch()
        for server in self._servers:
            server.await_ready()

        servers = Servers(
            f"postgresql://{ROLE}:{values['postgres_password']}@{HOST}:{postgres.port}/{ROLE}",
            None if valkey is None else f"redis://:{values['valkey_password']}@{HOST}:{valkey.port}/0",
            values,
        )
        write_private(
            self.data_dir / _RUNNING,
            {"pid": os.getpid(), "database_url": servers.database_url, "redis_url": servers.redis_url},
        )
        return servers


def write_address(data_dir: Path, address: str) -> None:
    """Stores the URL at which `journey up` serves, for commands that print links."""
    write_private(data_dir.expanduser().resolve() / _ADDRESS, address)


def read_address(data_dir: Path) -> str | None:
    """Returns the URL at which the last `journey up` of a data directory served; None if it never did."""
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
) -> Iterator[Servers]:
    """Yields the servers of a data directory: those of a running owner, or its own for the length of the block.

    Another owner's servers are used as they are, with their own settings, and are left running. An owner that is
    starting or stopping is waited for, up to `timeout_seconds`. Own servers are started like those of
    EmbeddedServers and stopped at the end.

    Raises AlreadyRunningError if the owner neither starts nor ends in time, and what `EmbeddedServers.start()` raises.
    """
    embedded = EmbeddedServers(
        data_dir, postgres_bin=postgres_bin, with_valkey=with_valkey, postgres_settings=postgres_settings
    )
    try:
        yield _join_or_start(embedded, time.monotonic() + timeout_seconds)
    finally:
        embedded.stop()


def _join_or_start(embedded: EmbeddedServers, deadline: float) -> Servers:
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


def _read_running(data_dir: Path) -> Servers | None:
    """Returns the servers of the directory's owner; None while it has not started them."""
    try:
        running = json.loads((data_dir / _RUNNING).read_bytes())
    except FileNotFoundError:
        return None
    # A new owner holds the lock for a moment before it removes the file of a killed one.
    if not exists(running["pid"]):
        return None
    return Servers(
        running["database_url"], running["redis_url"], json.loads((data_dir / _SECRETS).read_bytes())
    )


def _read_secrets(data_dir: Path, *, may_make: bool) -> Mapping[str, str]:
    path = data_dir / _SECRETS
    if path.exists():
        known: dict[str, str] = json.loads(path.read_bytes())
        lacking = [name for name in _KEYS if name not in known]
        if lacking:  # created by an earlier version
            known |= {name: secrets.token_urlsafe(32) for name in lacking}
            write_private(path, known)
        return known
    if not may_make:
        raise EmbeddedError(f"{path} is missing; without it the existing data cannot be opened")
    made = {
        "postgres_password": secrets.token_urlsafe(24),
        "valkey_password": secrets.token_urlsafe(24),
        "key_pepper": secrets.token_urlsafe(32),
        **{name: secrets.token_urlsafe(32) for name in _KEYS},
    }
    write_private(path, made)
    return made
