"""run_worker(): the composition root of the worker."""

import asyncio
import logging
import logging.config
import signal

from journey_service.gateways.http_client import HttpClient
from journey_service.gateways.smtp import FileMailer, SmtpMailer
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
    """Work until SIGTERM or SIGINT; what is being done then is given back for others to go on with."""
    logging.config.dictConfig(config(is_json=settings.logs_json))
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
    # As many as the courier makes at most: a company whose system is silent keeps nobody else's calls waiting.
    outgoing = HttpClient(trusted=settings.trusted_origins, connections=MAX_CONCURRENT_CALLS)
    rounds = PollingLoops(
        database,
        lease_seconds=settings.lease_seconds,
        delivery_lease_seconds=settings.delivery_lease_seconds,
        senders=build_senders(settings, outgoing),
    )
    bells = None
    if settings.redis_url is not None:
        bells = asyncio.create_task(listen(settings.redis_url.get_secret_value(), rounds))
    rounds.start()
    _LOGGER.info("the worker runs%s", "" if bells else ", without a doorbell")
    try:
        await stop.wait()
    finally:
        if bells is not None:
            bells.cancel()
            await asyncio.gather(bells, return_exceptions=True)
        await rounds.close()
        await outgoing.close()
        await database.close()
        _LOGGER.info("the worker has stopped")


def build_senders(settings: Settings, outgoing: HttpClient) -> MessageSenders:
    """The ways out of the house that the settings name."""
    deadline = max_call_seconds(settings.delivery_lease_seconds)
    mailer: SmtpMailer | FileMailer | None = None
    if settings.mail_url is not None:
        mailer = SmtpMailer(settings.mail_url.get_secret_value(), settings.sender, deadline)
    elif settings.mail_folder is not None:
        mailer = FileMailer(settings.mail_folder, settings.sender)
    return MessageSenders(Webhooks(outgoing, deadline), mailer, Links(settings.links_url))
