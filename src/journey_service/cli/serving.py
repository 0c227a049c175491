"""`up` and `api`: run the API, with or without embedded servers."""

import asyncio
import errno
import importlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.progress import TaskID

from journey_service.api.server.config import ServerConfig
from journey_service.api.server.limits import read_limits
from journey_service.api.server.processes import serve
from journey_service.cli.supervision import ChildProcess, Supervisor
from journey_service.cli.terminal import DEFAULT_DATA_DIR, bar, expected_errors, print_error, print_note
from journey_service.domain.errors import InvalidInputError
from journey_service.embedded import EmbeddedServers, ServerAddresses, write_address
from journey_service.gateways.smtp import FileMailer
from journey_service.logs import config as log_config
from journey_service.repositories import migrations
from journey_service.repositories.database import Database
from journey_service.services.access import credentials
from journey_service.settings import read_settings

if TYPE_CHECKING:
    from journey_service.demo import DemoKey

T = TypeVar("T")

_FACTORY = "journey_service.main:create_app"
_API_STOP_SECONDS = 30.0
_WORKER_STOP_SECONDS = 15.0


def up(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    data_dir: Annotated[
        Path, typer.Option(help="Directory for all data and generated secrets.")
    ] = DEFAULT_DATA_DIR,
    with_demo: Annotated[
        bool, typer.Option("--demo/--no-demo", help="Create four demo companies with two years of history.")
    ] = True,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Number of API processes.")] = 1,
) -> None:
    """Start PostgreSQL, Valkey, the API, and a worker on this machine, and restart them if they end."""
    termination = _Termination()
    signal.signal(signal.SIGTERM, termination)
    # Ending in order stops the processes and the embedded servers.
    with suppress(KeyboardInterrupt):
        _up(port, host, data_dir, workers, termination if with_demo else None)


class _Termination:
    """The handler of SIGTERM: cancels the running coroutine, or else raises KeyboardInterrupt.

    It does not send SIGINT, which shells let background jobs ignore.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None

    def __call__(self, *_: object) -> None:
        if self._task is None:
            raise KeyboardInterrupt
        self._task.get_loop().call_soon_threadsafe(self._task.cancel)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Runs a coroutine. Raises KeyboardInterrupt if it was cancelled."""

        async def main() -> T:
            self._task = asyncio.current_task()
            try:
                return await coroutine
            finally:
                self._task = None

        try:
            return asyncio.run(main())
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None


def _up(port: int, host: str, data_dir: Path, workers: int, termination: _Termination | None) -> None:
    """Runs the service; creates the demo if a handler for its termination is given."""
    with expected_errors():
        if bootstrap_key := os.environ.get("JOURNEY_BOOTSTRAP_KEY"):
            credentials.check_token(bootstrap_key, "JOURNEY_BOOTSTRAP_KEY")
    with expected_errors():
        _check_port(host, port)
    embedded = EmbeddedServers(data_dir)
    address = _own_address(host, port)
    children = _children(host, port, workers)
    with expected_errors(), _preloaded(children[0]), embedded as servers:
        write_address(data_dir, address)
        migrations.upgrade(servers.database_url)
        os.environ.update(_environment(servers, data_dir, host, port))
        if termination is not None:
            _create_demo(servers, address, termination)
        read_settings()  # read first, so that errors are printed once
        with Supervisor(embedded, children, print_error):
            threading.Event().wait()  # until a signal


@contextmanager
def _preloaded(child: ChildProcess) -> Iterator[None]:
    """Lets a process import its modules while others start; stops it if it has not been stopped."""
    child.preload()
    try:
        yield
    finally:
        child.stop()


def api(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    workers: Annotated[int, typer.Option(min=1, max=64, help="Number of API processes.")] = 1,
) -> None:
    """Run the API with the settings of the environment."""
    with expected_errors():
        settings = read_settings()  # read first, so that errors are printed without a traceback
    _serve(host, port, workers, proxies=settings.trusted_proxies)


def _children(host: str, port: int, workers: int) -> list[ChildProcess]:
    """Returns the processes of the service that `up` runs; the API, which takes longest to start, is the first."""
    serving = ("api", "--host", host, "--port", str(port), "--workers", str(workers))
    return [
        ChildProcess("api", *serving, death_signal=signal.SIGTERM, stop_seconds=_API_STOP_SECONDS),
        # SIGKILL: the database ends at the same time, and expired leases recover running work.
        ChildProcess("worker", "worker", death_signal=signal.SIGKILL, stop_seconds=_WORKER_STOP_SECONDS),
    ]


def _check_port(host: str, port: int) -> None:
    """Checks that the port is free before any server starts. Raises InvalidInputError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InvalidInputError.at("--port", _bind_error(host, port, error)) from error


def _bind_error(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use; choose another with --port"
    return f"cannot listen on {host}:{port}: {error.strerror}"


def _serve(host: str, port: int, workers: int, *, proxies: Sequence[str] = ()) -> None:
    # Several machines need the number of all processes, which only the operator knows.
    os.environ.setdefault("JOURNEY_API_PROCESSES", str(workers))
    settings = read_settings()
    config = ServerConfig(
        _FACTORY,
        limits=read_limits(settings),
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_config=log_config(is_json=settings.logs_json),
        log_level="info",
        access_log=False,
        server_header=False,
        # Only configured proxies may set the client address.
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        timeout_graceful_shutdown=25,
    )
    serve(config)


def _environment(servers: ServerAddresses, data_dir: Path, host: str, port: int) -> dict[str, str]:
    environment = {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url or "",
        "JOURNEY_KEY_PEPPER": servers.secrets["key_pepper"],
        "JOURNEY_ERASURE_KEY": servers.secrets["erasure_key"],
        "JOURNEY_VAULT_KEY": servers.secrets["vault_key"],
        # The API is reachable only from this machine, without TLS.
        "JOURNEY_ENVIRONMENT": os.environ.get("JOURNEY_ENVIRONMENT") or "development",
    }
    if environment["JOURNEY_ENVIRONMENT"] != "development":
        return environment
    # Only links get a fixed URL: browsers may use another host name of this machine.
    if not (os.environ.get("JOURNEY_PUBLIC_URL") or os.environ.get("JOURNEY_LINKS_URL")):
        environment["JOURNEY_LINKS_URL"] = _own_address(host, port)
    if not (os.environ.get("SMTP_URL") or os.environ.get("JOURNEY_MAIL_FOLDER")):
        environment["JOURNEY_MAIL_FOLDER"] = str(data_dir.expanduser().resolve() / "mail")
    return environment


def _own_address(host: str, port: int) -> str:
    """Returns the URL for a browser on this machine."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not bound
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _demo_mailer() -> FileMailer | None:
    """Returns the mailer for the past emails of the demo; None, which sends nothing, if mails leave this machine."""
    settings = read_settings()
    if settings.mail_url is not None or settings.mail_folder is None:
        return None
    return FileMailer(settings.mail_folder, settings.sender)


async def _seed_demo(servers: ServerAddresses) -> "list[DemoKey]":
    demo = importlib.import_module("journey_service.demo")  # takes as long to import as all the rest

    database = Database(
        servers.database_url,
        erasure_key=servers.secrets["erasure_key"],
        vault_key=servers.secrets["vault_key"],
        # All companies are created at the same time.
        pool_size=20,
        pool_timeout=60,
        statement_timeout_ms=60_000,
    )
    lines: dict[str, TaskID] = {}
    try:
        with bar() as shown:

            def on_progress(name: str, done: int, total: int) -> None:
                if name not in lines:
                    lines[name] = shown.add_task(name)
                shown.update(lines[name], completed=done, total=total)

            now = datetime.now(UTC)  # noqa: TID251  # a composition root
            await demo.seed_demo(database, now=now, mailer=_demo_mailer(), on_progress=on_progress)
        keys: list[DemoKey] = await demo.create_demo_keys(database, pepper=servers.secrets["key_pepper"])
        return keys
    finally:
        await database.close()


def _create_demo(servers: ServerAddresses, address: str, termination: _Termination) -> None:
    # The demo contains an email that is refused, which needs no warning.
    logging.getLogger("journey_service").setLevel(logging.ERROR)
    try:
        keys = termination.run(_seed_demo(servers))
    finally:
        logging.getLogger("journey_service").setLevel(logging.NOTSET)
    print_note(f"Dashboard: {address}/")
    print_note(f"Documentation: {address}/docs")
    for key in keys:
        print_note(f"Demo company {key.company_id}, {key.name}: {key.token}")
        print_note(f"  one-time sign-in link, valid for 15 minutes: {address}/sign-in/link/{key.link}")
