"""`up`, `api`, `worker`, `migrate`: what runs, and what has to have run before."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
import uvicorn
from fastapi import FastAPI
from rich.progress import TaskID

from journey_service import demo
from journey_service.cli.server_watch import ServerWatch
from journey_service.cli.terminal import DataDir, bar, owner_url, print_error, print_note, told
from journey_service.cli.worker_process import WorkerProcess
from journey_service.domain.errors import InvalidInputError
from journey_service.embedded import Embedded, Servers
from journey_service.embedded.processes import die_with_parent
from journey_service.logs import config
from journey_service.main import create_app
from journey_service.repositories import migrations as migrating
from journey_service.repositories.database import Database
from journey_service.services.access import credentials
from journey_service.settings import read_settings
from journey_service.worker.main import run_worker

_FACTORY = "journey_service.main:create_app"
_CHILD_FACTORY = "journey_service.cli.serving:create_child"
_DEFAULT_DATA = Path(".journey")


def up(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where the service listens.")] = 8000,
    host: Annotated[str, typer.Option(help="The address it listens on.")] = "127.0.0.1",
    data_dir: Annotated[Path, typer.Option(help="Folder for everything that is kept.")] = _DEFAULT_DATA,
    with_demo: Annotated[bool, typer.Option("--demo/--no-demo", help="Bring three demo companies.")] = True,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes answering requests.")] = 1,
) -> None:
    """Start everything here: a real PostgreSQL and Valkey of its own, migrations, the API and the worker."""
    # The server hands a signal on once it has stopped; what was started here still has to be put away.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with told():
        if chosen := os.environ.get("JOURNEY_BOOTSTRAP_KEY"):
            credentials.check_token(chosen, "JOURNEY_BOOTSTRAP_KEY")
    with told():
        _check_port(host, port)
    embedded = Embedded(data_dir)
    with told(), embedded as servers:
        migrating.upgrade(servers.database_url)
        os.environ.update(_environment(servers, data_dir, host, port))
        if with_demo:
            _bring_demo(servers, f"http://{host}:{port}")
        with ServerWatch(embedded, print_error), WorkerProcess(print_error):
            factory = _CHILD_FACTORY if workers > 1 else _FACTORY
            _serve(host, port, workers, factory=factory, logs_json=read_settings().logs_json)


def api(
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes answering requests.")] = 1,
) -> None:
    """Answer requests, with the database and the secrets of the environment."""
    with told():
        settings = read_settings()  # what is wrong with them is told here, not in a traceback of the server's
    _serve(host, port, workers, proxies=settings.trusted_proxies, logs_json=settings.logs_json)


def worker() -> None:
    """Do what nobody waits for, with the database of the environment: due customers, nightly runs, jobs."""
    with told():
        asyncio.run(run_worker(read_settings()))


def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to the schema of this version."""
    with owner_url(data_dir) as url:
        migrating.upgrade(url)
    print_note("The database is at the schema of this version.")


def create_child() -> FastAPI:
    """The API in a process of its own under `up`: gone when `up` is, however that ended."""
    die_with_parent(signal.SIGTERM)
    return create_app()


def _check_port(host: str, port: int) -> None:
    """Refuse a port somebody else listens on, before anything is started for it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InvalidInputError.at(
                "--port", f"{host}:{port} cannot be listened on: {error.strerror}"
            ) from error


def _serve(
    host: str,
    port: int,
    workers: int,
    *,
    factory: str = _FACTORY,
    proxies: Sequence[str] = (),
    logs_json: bool = False,
) -> None:
    uvicorn.run(
        factory,
        factory=True,
        host=host,
        port=port,
        workers=workers,
        log_config=config(is_json=logs_json),
        log_level="info",
        access_log=False,
        server_header=False,
        # Whoever is believed can say who is calling: nobody, unless they were named.
        proxy_headers=bool(proxies),
        forwarded_allow_ips=list(proxies),
        h11_max_incomplete_event_size=16_384,
        timeout_graceful_shutdown=25,
    )


def _environment(servers: Servers, data_dir: Path, host: str, port: int) -> dict[str, str]:
    environment = {
        "DATABASE_URL": servers.database_url,
        "REDIS_URL": servers.redis_url or "",
        "JOURNEY_KEY_PEPPER": servers.secrets["key_pepper"],
        "JOURNEY_ERASURE_KEY": servers.secrets["erasure_key"],
        "JOURNEY_VAULT_KEY": servers.secrets["vault_key"],
        # Only what is on this machine is served, and by addresses without TLS.
        "JOURNEY_ENVIRONMENT": os.environ.get("JOURNEY_ENVIRONMENT") or "development",
    }
    if environment["JOURNEY_ENVIRONMENT"] != "development":
        return environment
    # Browsers may find the service by another name of this machine too: links alone need one.
    if not (os.environ.get("JOURNEY_PUBLIC_URL") or os.environ.get("JOURNEY_LINKS_URL")):
        environment["JOURNEY_LINKS_URL"] = _own_address(host, port)
    if not (os.environ.get("SMTP_URL") or os.environ.get("JOURNEY_MAIL_FOLDER")):
        environment["JOURNEY_MAIL_FOLDER"] = str(data_dir.expanduser().resolve() / "mail")
    return environment


def _own_address(host: str, port: int) -> str:
    """Where a browser of this machine finds what listens there."""
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared with, not listened on
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def _bring_demo(servers: Servers, address: str) -> None:
    async def uow() -> list[demo.DemoKey]:
        database = Database(
            servers.database_url,
            erasure_key=servers.secrets["erasure_key"],
            vault_key=servers.secrets["vault_key"],
        )
        lines: dict[str, TaskID] = {}
        try:
            with bar() as shown:

                def on_progress(name: str, done: int, total: int) -> None:
                    if name not in lines:
                        lines[name] = shown.add_task(name)
                    shown.update(lines[name], completed=done, total=total)

                now = datetime.now(UTC)  # noqa: TID251  # a composition root
                await demo.open_demo(database, now=now, on_progress=on_progress)
            return await demo.hand_out_keys(database, pepper=servers.secrets["key_pepper"])
        finally:
            await database.close()

    keys = asyncio.run(uow())
    print_note(f"Documentation: {address}/docs")
    for key in keys:
        print_note(f"Demo company {key.company_id}, {key.name}: {key.token}")
        print_note(
            f"  signs a browser in, once, within a quarter of an hour: {address}/sign-in/link/{key.link}"
        )
