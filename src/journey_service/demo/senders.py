"""Senders of the demo: emails are written to a folder or accepted as they are; nothing leaves the machine."""

from typing import Final

from journey_service.domain.actions.delivery import (
    DeliveryReceipt,
    DeliveryRefusedError,
    Email,
    Mailer,
    WebhookMessage,
)

_NO_SUCH_MAILBOX: Final = "550 5.1.1 The mailbox does not exist."


class DemoMailer:
    """Accepts emails and passes them on to the mailer of the folder, if there is one."""

    def __init__(self, mailer: Mailer | None, refused: set[str]) -> None:
        self._mailer = mailer
        self._refused = refused

    async def send(self, email: Email) -> DeliveryReceipt:
        """Sends one email. Raises DeliveryRefusedError for the addresses that are to be refused."""
        if email.to in self._refused:
            raise DeliveryRefusedError(_NO_SUCH_MAILBOX, status=550)
        if self._mailer is None:
            return DeliveryReceipt("250 2.0.0 Accepted")
        return await self._mailer.send(email)


class DemoMessenger:
    """Accepts every message in place of the company's own system."""

    async def send(self, message: WebhookMessage) -> DeliveryReceipt:  # noqa: ARG002  # the signature of a Messenger
        """Accepts one message."""
        return DeliveryReceipt("accepted", status=200)
