"""The folder and its owner: who may start the servers, their secrets, where they are found."""

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
    account_for,
    exists,
    let_through,
)
from journey_service.embedded.valkey import Valkey, end_leftover_valkey, valkey_binary

_RUNNING = "running.json"
_SECRETS = "secrets.json"
_KEYS = ("erasure_key", "vault_key")
"""Secrets that folders of earlier versions lack."""
_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, repr=False)  # a repr would carry the passwords into logs
class Servers:
    """Where the running servers are, and the secrets of their folder.

    `redis_url` is None when Valkey was not wanted. `secrets` has `postgres_password`, `valkey_password`,
    `key_pepper`, `erasure_key` and `vault_key`, which stay the same for the life of the folder.
    """

    database_url: str
    redis_url: str | None
    secrets: Mapping[str, str]


class Embedded:
    """The servers of one folder, owned: a context manager over `start()` and `stop()` that gives Servers.

    PostgreSQL listens on TCP at 127.0.0.1 alone, at a port that changes from start to start, and knows the
    superuser and the database `journey`. `postgres_settings` are settings of the server for this run, such as
    `{"fsync": "off"}`; they show in the list of processes. `postgres_bin` is the folder with `initdb`,
    `postgres` and `pg_ctl` of another PostgreSQL (15 or later) than the one of the wheel.

    The folder itself becomes private (0700), unless it was there and holds other things.

    PostgreSQL refuses to run as root. Started by root, both servers run as the user `nobody`, or as whoever
    owns the data already; the data folder is given to that user, and every folder on the way to it and to the
    binaries becomes traversable (`o+x`, nothing more) where it was not.
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
        """Start the servers and wait until they answer; the first start makes the folder.

        Servers that a killed owner left behind are stopped before. Blocks, for up to a minute when PostgreSQL
        has to recover from a crash. Call it from the main thread: on Linux the kernel stops the servers when
        the *thread* that started them ends.

        Raises AlreadyRunningError while a living process, this one included, owns the servers of the folder,
        and EmbeddedError when they do not start, when the wheels are missing, or when another major version
        of PostgreSQL made the data. Nothing is left running then.
        """
        self._claim()
        try:
            return self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the servers, if they run, and give the folder up; does nothing when that is done."""
        if self._lock is None:
            return
        servers, self._servers = self._servers, ()
        try:
            # First, so that nobody joins servers that are about to go.
            (self.data_dir / _RUNNING).unlink(missing_ok=True)
            for server in servers:
                server.begin_stop()
            for server in servers:
                server.finish_stop()
        finally:
            # Closing alone would leave the lock to forked children, which share it.
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            os.close(self._lock)
            self._lock = None

    @property
    def is_alive(self) -> bool:
        """Whether the servers were started and all of them still run."""
        return bool(self._servers) and all(server.fault() is None for server in self._servers)

    def faults(self) -> dict[str, str]:
        """How the servers that have died ended, by name, with the end of their logs."""
        found = {server.name: server.fault() for server in self._servers}
        return {name: fault for name, fault in found.items() if fault is not None}

    def check(self) -> None:
        """Raise EmbeddedError, with the end of its log, when a started server has died."""
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
            raise AlreadyRunningError(f"a living process owns the servers of {self.data_dir}") from None
        except BaseException:
            os.close(lock)
            raise
        self._lock = lock

    def _start(self) -> Servers:
        # An owner that was killed left it.
        (self.data_dir / _RUNNING).unlink(missing_ok=True)
        account = account_for(self.data_dir / "postgres")
        binaries = postgres_binaries() if self._postgres_bin is None else self._postgres_bin.resolve()
        postgres = Postgres(self.data_dir, account, binaries, self._postgres_settings)
        valkey = Valkey(self.data_dir, account, valkey_binary()) if self._with_valkey else None
        if account is not None:
            let_through([self.data_dir, binaries, *([valkey.binary.parent] if valkey else [])])
        postgres.refuse_other_version()
        values = _read_secrets(self.data_dir, may_make=not postgres.is_made)
        postgres.end_leftover()
        end_leftover_valkey(self.data_dir)

        # Valkey comes up while PostgreSQL makes its data.
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


@contextlib.contextmanager
def connect_or_start(
    data_dir: Path,
    *,
    postgres_bin: Path | None = None,
    with_valkey: bool = True,
    postgres_settings: Mapping[str, str] = _NO_SETTINGS,
    patience: float = READY_SECONDS,
) -> Iterator[Servers]:
    """The servers of a folder for one piece of work: those of a living owner, or else its own.

    Another owner's servers are given as they are, whatever is asked for here, and are left running; they end
    when their owner does. One that is still starting or already stopping is waited for, up to `patience`
    seconds. Own servers are started as by Embedded and stopped at the end.

    Raises AlreadyRunningError when the owner neither comes up nor ends in time, and what `Embedded.start()`
    raises.
    """
    embedded = Embedded(
        data_dir, postgres_bin=postgres_bin, with_valkey=with_valkey, postgres_settings=postgres_settings
    )
    try:
        yield _join_or_start(embedded, time.monotonic() + patience)
    finally:
        embedded.stop()


def _join_or_start(embedded: Embedded, deadline: float) -> Servers:
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
    """The servers of the owner of the folder; None while it has none to offer."""
    try:
        running = json.loads((data_dir / _RUNNING).read_bytes())
    except FileNotFoundError:
        return None
    # A new owner holds the lock for a moment before it clears away what a killed one had written.
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
        if lacking:  # made by an earlier version
            known |= {name: secrets.token_urlsafe(32) for name in lacking}
            write_private(path, known)
        return known
    if not may_make:
        raise EmbeddedError(f"{path} is missing, and nothing else opens the data beside it")
    made = {
        "postgres_password": secrets.token_urlsafe(24),
        "valkey_password": secrets.token_urlsafe(24),
        "key_pepper": secrets.token_urlsafe(32),
        **{name: secrets.token_urlsafe(32) for name in _KEYS},
    }
    write_private(path, made)
    return made
