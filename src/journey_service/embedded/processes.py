"""Servers as child processes: start as the right user, watch, stop, and recognize leftovers."""

import ctypes
import importlib.util
import os
import pwd
import re
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from journey_service.domain.errors import JourneyServiceError

HOST = "127.0.0.1"
READY_SECONDS = 60.0
POLL_SECONDS = 0.005
_RETRY_SECONDS = 0.1
_LOG_BYTES = 10_000_000
_TAIL_LINES = 20
_PR_SET_PDEATHSIG = 1

# The servers get neither settings of PostgreSQL clients nor the owner's secrets; a fixed locale keeps messages
# readable for _TRANSIENT_ERRORS, and a given time zone saves initdb from guessing one.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

# Another process may take a port between its choice and its use, and the backends of a killed postmaster need
# a moment to end.
_TRANSIENT_ERRORS = re.compile(r"Address already in use|pre-existing shared memory block")


class EmbeddedError(JourneyServiceError):
    """The servers could not start, or one of them has died."""

    code = "embedded"
    title = "The embedded servers are not running"


class AlreadyRunningError(EmbeddedError):
    """Another process owns the servers of this data directory."""

    code = "embedded-running"
    title = "The embedded servers are already running"


@dataclass(frozen=True)
class Account:
    """The user that a server runs as."""

    uid: int
    gid: int


class Server(ABC):
    """A server: a child process with a port of its own and a log."""

    name: ClassVar[str]
    _stop_signals: ClassVar[Sequence[tuple[signal.Signals, float]]]  # and how many seconds each is waited for

    def __init__(self, data_dir: Path, account: Account | None) -> None:
        self.port = 0
        self._data_dir = data_dir
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None
        self._log = data_dir / f"{self.name}.log"
        self._log_start = 0

    @abstractmethod
    def _start_process(self, log: int) -> subprocess.Popen[bytes]:
        """Starts the server on the port."""

    @abstractmethod
    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether this process accepts connections."""

    def _launch(self) -> None:
        self.port = free_port()
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if os.fstat(log).st_size > _LOG_BYTES:
                os.ftruncate(log, 0)
            self._log_start = os.fstat(log).st_size
            self._process = self._start_process(log)
        finally:
            os.close(log)

    def await_ready(self) -> None:
        """Waits until the server answers. Raises EmbeddedError if it ends instead, or takes too long."""
        deadline = time.monotonic() + READY_SECONDS
        while self._process is None or not self._answers(self._process):
            fault = self.fault()
            if time.monotonic() > deadline:
                raise EmbeddedError(fault or f"{self.name} did not answer in time:\n{self._tail()}")
            if fault is None:
                time.sleep(POLL_SECONDS)
            elif _TRANSIENT_ERRORS.search(fault):
                time.sleep(_RETRY_SECONDS)
                self._launch()
            else:
                raise EmbeddedError(fault)

    def fault(self) -> str | None:
        """Returns how the server ended, with the end of its log; None while it runs."""
        if self._process is None or self._process.poll() is None:
            return None
        return f"{self.name} ended with code {self._process.returncode}:\n{self._tail()}"

    def begin_stop(self) -> None:
        """Asks the server to end, without waiting."""
        if self._process is not None:
            self._process.send_signal(self._stop_signals[0][0])

    def finish_stop(self) -> None:
        """Waits for the server to end, and escalates the signals."""
        if self._process is None:
            return
        harsher = [way for way, _ in self._stop_signals[1:]]
        for (_, seconds), following in zip(self._stop_signals, [*harsher, signal.SIGKILL], strict=True):
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


def spawn(
    command: Sequence[str],
    account: Account | None,
    *,
    output: int,
    at_owner_death: signal.Signals,
    stdin: int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    """Starts a program. Raises EmbeddedError if it cannot be run."""
    try:
        return subprocess.Popen(  # noqa: S603  # our own binaries, no shell
            command,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",  # the unprivileged user may have no access to the current directory
            env=_ENVIRONMENT,
            # Ctrl-C in the terminal goes to the owner only, which stops the servers when it is done with them.
            start_new_session=True,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
            preexec_fn=parent_death_preexec(at_owner_death),  # noqa: PLW1509  # only system calls are made in it
        )
    except OSError as error:
        raise EmbeddedError(f"{command[0]} cannot be run: {error.strerror}") from error


def parent_death_preexec(way: signal.Signals) -> Callable[[], None] | None:
    """Returns what a child runs before its program to get a signal when the thread that started it ends.

    None where the kernel does not support it.
    """
    if sys.platform != "linux":
        return None
    # Resolved here: between fork and exec nothing may be loaded, and no lock waited for.
    promise = _promise(way)
    owner = os.getpid()

    def prepare() -> None:
        promise()
        # The owner may have ended before the signal was registered.
        if os.getppid() != owner:
            os._exit(1)

    return prepare


def set_parent_death_signal(way: signal.Signals) -> None:
    """Registers a signal for this process when the thread that started it ends, where the kernel supports it."""
    if sys.platform == "linux":
        _promise(way)()


def _promise(way: signal.Signals) -> Callable[[], object]:
    """Returns the system call that registers a signal for the end of the thread that started this process."""
    arguments = [ctypes.c_ulong(argument) for argument in (way, 0, 0, 0)]
    return partial(ctypes.CDLL(None).prctl, _PR_SET_PDEATHSIG, *arguments)


def server_account(data: Path) -> Account | None:
    """Returns the user that the servers must run as; None for the user of this process."""
    if os.geteuid() != 0:
        return None
    if data.exists() and (status := data.stat()).st_uid != 0:
        return Account(status.st_uid, status.st_gid)
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedError("PostgreSQL does not run as root, and there is no user `nobody`") from None
    return Account(entry.pw_uid, entry.pw_gid)


def give(path: Path, account: Account) -> None:
    """Makes the account the owner of a path and of everything in it."""
    os.chown(path, account.uid, account.gid, follow_symlinks=False)
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.chown(Path(folder) / name, account.uid, account.gid, follow_symlinks=False)


def make_traversable(folders: Sequence[Path]) -> None:
    """Makes folders and all their parents traversable for all users."""
    for folder in {above for given in folders for above in (given, *given.parents)}:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode & 0o7777 | 0o001)


def find_in_package(package: str, pattern: str) -> Path:
    """Returns a file of an installed package. Raises EmbeddedError if it is missing."""
    # Located without an import, which would load clients and locks and take half a second.
    spec = importlib.util.find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for found in Path(folder).resolve().glob(pattern):
            return found
    raise EmbeddedError(
        f"the package {package} is missing: it comes with `pip install 'journey-service[embedded]'`"
    )


def free_port() -> int:
    """Returns a free port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def read_pid(path: Path) -> int | None:
    """Returns the process id of a pid file; None if there is none."""
    try:
        return int(path.read_bytes().split(maxsplit=1)[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None


def exists(pid: int) -> bool:
    """Whether a process with this id exists, of any user."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def look_at(pid: int) -> tuple[str, bytes]:
    """Returns the program and the command line of a process; both are empty if it has ended.

    Words of the command line are separated by NULs, and blanks count as NULs: ps does not distinguish them.
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


def runs(pid: int, program: str, folder: Path) -> bool:
    """Whether a process is the server of this data directory."""
    running, words = look_at(pid)
    return running == program and b"\0%b\0" % os.fsencode(folder).replace(b" ", b"\0") in words


def wait_while(condition: Callable[[], bool], seconds: float) -> None:
    """Waits until a condition is false, for a limited number of seconds."""
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
