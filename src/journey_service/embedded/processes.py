"""Child processes of the embedded servers: starts them as the right user, watches and stops them."""

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
_LOG_END_LINES = 20
_PR_SET_PDEATHSIG = 1

# The servers get neither the settings of PostgreSQL clients nor the owner's secrets. _TRANSIENT_ERRORS needs messages
# in a fixed locale, and with a fixed time zone initdb does not have to detect one.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

# Errors after which the start is retried: another process took the port, or backends of a killed postmaster are still
# ending.
_TRANSIENT_ERRORS = re.compile(r"Address already in use|pre-existing shared memory block")


class EmbeddedError(JourneyServiceError):
    """An embedded server could not start, or has ended."""

    code = "embedded"
    title = "The embedded servers are not running"


class AlreadyRunningError(EmbeddedError):
    """Another process owns the servers of this data directory."""

    code = "embedded-running"
    title = "The embedded servers are already running"


@dataclass(frozen=True)
class Account:
    """The operating system user that runs a server."""

    uid: int
    gid: int


class Server(ABC):
    """A server: a child process with its own port and log file."""

    name: ClassVar[str]
    _stop_signals: ClassVar[Sequence[tuple[signal.Signals, float]]]  # with the seconds to wait after each

    def __init__(self, data_dir: Path, account: Account | None) -> None:
        self.port = 0
        self._data_dir = data_dir
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None
        self._log = data_dir / f"{self.name}.log"
        self._log_start = 0
        self._keeps_port = False

    @abstractmethod
    def _start_process(self, log: int) -> subprocess.Popen[bytes]:
        """Starts the server on the port."""

    @abstractmethod
    def _accepts_connections(self, process: subprocess.Popen[bytes]) -> bool:
        """Whether this process accepts connections."""

    def restart(self) -> None:
        """Starts the server again, at the same port, and waits until it accepts connections. Raises EmbeddedError."""
        self._keeps_port = True
        self._launch()
        self.await_ready()

    def _launch(self) -> None:
        if not self._keeps_port:
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
        """Waits until the server accepts connections. Raises EmbeddedError if it ends or takes too long."""
        deadline = time.monotonic() + READY_SECONDS
        while self._process is None or not self._accepts_connections(self._process):
            failure = self.failure()
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    failure or f"{self.name} did not accept connections in time:\n{self._log_end()}"
                )
            if failure is None:
                time.sleep(POLL_SECONDS)
            elif _TRANSIENT_ERRORS.search(failure):
                time.sleep(_RETRY_SECONDS)
                self._launch()
            else:
                raise EmbeddedError(failure)

    def failure(self) -> str | None:
        """Returns how the server ended, with the end of its log; None while it runs."""
        if self._process is None or self._process.poll() is None:
            return None
        return f"{self.name} ended with code {self._process.returncode}:\n{self._log_end()}"

    def begin_stop(self) -> None:
        """Sends the first stop signal, without waiting."""
        if self._process is not None:
            self._process.send_signal(self._stop_signals[0][0])

    def finish_stop(self) -> None:
        """Waits for the server to end; sends stronger signals if it does not."""
        if self._process is None:
            return
        stronger_signals = [signal_ for signal_, _ in self._stop_signals[1:]]
        for (_, seconds), following in zip(
            self._stop_signals, [*stronger_signals, signal.SIGKILL], strict=True
        ):
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.send_signal(following)
            else:
                return
        self._process.wait()

    def _log_end(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_END_LINES:])


def spawn(
    command: Sequence[str],
    account: Account | None,
    *,
    output: int,
    owner_death_signal: signal.Signals,
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
            # Ctrl-C in the terminal reaches only the owner, which then stops the servers.
            start_new_session=True,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else [],
            preexec_fn=parent_death_preexec(owner_death_signal),  # noqa: PLW1509  # only system calls are made in it
        )
    except OSError as error:
        raise EmbeddedError(f"{command[0]} cannot be run: {error.strerror}") from error


def parent_death_preexec(signal_: signal.Signals) -> Callable[[], None] | None:
    """Returns a `preexec_fn` that sends a child process a signal when the thread that started it ends.

    None if the kernel does not support it.
    """
    if sys.platform != "linux":
        return None
    # Resolved here, because code between fork and exec must not import modules or wait for locks.
    register_signal = _prctl_call(signal_)
    owner = os.getpid()

    def prepare() -> None:
        register_signal()
        # Exit if the owner ended before the signal was registered.
        if os.getppid() != owner:
            os._exit(1)

    return prepare


def set_parent_death_signal(signal_: signal.Signals) -> None:
    """Makes the kernel send this process a signal when the thread that started it ends; Linux only."""
    if sys.platform == "linux":
        _prctl_call(signal_)()


def _prctl_call(signal_: signal.Signals) -> Callable[[], object]:
    """Returns the prctl call that sets the signal sent at the end of the thread that started this process."""
    arguments = [ctypes.c_ulong(argument) for argument in (signal_, 0, 0, 0)]
    return partial(ctypes.CDLL(None).prctl, _PR_SET_PDEATHSIG, *arguments)


def server_account(data: Path) -> Account | None:
    """Returns the user to run the servers as; None for the user of this process."""
    if os.geteuid() != 0:
        return None
    if data.exists() and (status := data.stat()).st_uid != 0:
        return Account(status.st_uid, status.st_gid)
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise EmbeddedError("PostgreSQL does not run as root, and there is no user `nobody`") from None
    return Account(entry.pw_uid, entry.pw_gid)


def change_owner(path: Path, account: Account) -> None:
    """Makes the account the owner of a path and its content."""
    os.chown(path, account.uid, account.gid, follow_symlinks=False)
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.chown(Path(folder) / name, account.uid, account.gid, follow_symlinks=False)


def make_traversable(folders: Sequence[Path]) -> None:
    """Makes folders and all their parents traversable for all users (`o+x`)."""
    for folder in {each for start in folders for each in (start, *start.parents)}:
        mode = folder.stat().st_mode
        if not mode & 0o001:
            folder.chmod(mode & 0o7777 | 0o001)


def find_in_package(package: str, pattern: str) -> Path:
    """Returns a file of an installed package. Raises EmbeddedError if it is missing."""
    # Located without an import, which would take half a second.
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
    """Returns the process id in a pid file; None if the file is missing or invalid."""
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


def read_command(pid: int) -> tuple[str, bytes]:
    """Returns the program name and the command line of a process; both are empty if it has ended.

    Words of the command line are separated by NUL; spaces become NUL too, because ps does not distinguish them.
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


def is_server_process(pid: int, program: str, folder: Path) -> bool:
    """Whether a process is the server of this data directory."""
    running, words = read_command(pid)
    return running == program and b"\0%b\0" % os.fsencode(folder).replace(b" ", b"\0") in words


def wait_until_false(condition: Callable[[], bool], seconds: float) -> None:
    """Waits until a condition is false, at most for a number of seconds."""
    deadline = time.monotonic() + seconds
    while condition() and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
