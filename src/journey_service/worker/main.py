"""Composition root of the worker process."""

import asyncio
import logging
import logging.config
import signal

from journey_service.gateways.http_client import HttpClient
from journey_service.gateways.smtp import FileMailer, SmtpMailer
from journey_service.gateways.trace_export import send_traces
from journey_service.gateways.webhooks import Webhooks
from journey_service.logs import config
from journey_service.repositories.database import Database
from journey_service.services.actions.delivery.dispatcher import (
    MAX_CONCURRENT_CALLS,
    MessageSenders,
    max_call_seconds,
)
from journey_service.services.actions.delivery.outbound_messages import Links
from journey_service.settings import Settings
from journey_service.worker.polling import PollingLoops
from journey_service.worker.wakeups import listen

_POOL_TIMEOUT_SECONDS = 10.0
_LOGGER = logging.getLogger(__name__)


async def run_worker(settings: Settings) -> None:
    """Runs the worker until SIGTERM or SIGINT. Then it releases its leases, so that other workers continue its work."""
    logging.config.dictConfig(config(is_json=settings.logs_json))
    if settings.traces_url is not None:
        send_traces("journey-worker")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_, stop.set)

    database = Database(
        settings.database_url.get_secret_value(),
        pool_size=settings.pool_size,
        pool_timeout=_POOL_TIMEOUT_SECONDS,
        application_name="journey-worker",
        erasure_key=settings.erasure_key.get_secret_value(),
        vault_key=settings.vault_key.get_secret_value(),
    )
    # One connection per concurrent call, so that an unresponsive system of one company does not delay other companies.
    http_client = HttpClient(trusted=settings.trusted_origins, connections=MAX_CONCURRENT_CALLS)
    polling_loops = PollingLoops(
        database,
        lease_seconds=settings.lease_seconds,
        delivery_lease_seconds=settings.delivery_lease_seconds,
        senders=build_senders(settings, http_client),
    )
    wakeups = None
    if settings.redis_url is not None:
        wakeups = asyncio.create_task(listen(settings.redis_url.get_secret_value(), polling_loops))
    polling_loops.start()
    _LOGGER.info(
        "worker started%s", "" if wakeups else " without Redis (REDIS_URL is not set); it only polls"
    )
    try:
        await stop.wait()
    finally:
        if wakeups is not None:
            wakeups.cancel()
            await asyncio.gather(wakeups, return_exceptions=True)
        await polling_loops.close()
        await http_client.close()
        await database.close()
        _LOGGER.info("worker stopped")


def build_senders(settings: Settings, http_client: HttpClient) -> MessageSenders:
    """Returns the senders of outbound messages for the settings."""
    deadline = max_call_seconds(settings.delivery_lease_seconds)
    mailer: SmtpMailer | FileMailer | None = None
    if settings.mail_url is not None:
        mailer = SmtpMailer(settings.mail_url.get_secret_value(), settings.sender, deadline)
    elif settings.mail_folder is not None:
        mailer = FileMailer(settings.mail_folder, settings.sender)
    return MessageSenders(Webhooks(http_client, deadline), mailer, Links(settings.links_url))
