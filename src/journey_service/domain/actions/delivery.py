"""What leaves the house: letters and signed messages, how a delivery may come out, and when it is tried again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from journey_service.domain.errors import JourneyServiceError

RETRY_AFTER: Final = tuple(
    timedelta(seconds=seconds) for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
)
"""How long after each failed attempt the next one is due (the schedule of Svix); after the last there is none."""
JITTER: Final = 0.2
"""By how much of itself a pause is made longer at most, so that what failed together is not tried together."""
MAX_RETRY_AFTER: Final = timedelta(hours=12)
"""How much of a receiver's wish to be left alone is respected."""
FAILING_DAYS: Final = 5
"""For how long an endpoint may fail before it is disabled."""


@dataclass(frozen=True, slots=True)
class Email:
    """One mail. `key` is the same for every attempt: the Message-ID is made from it, so that receivers can tell.

    `sender_name` is who writes, by the service's own address; answers go to `reply_to`. `unsubscribe_url` is where the
    reader withdraws their consent, by opening it or with one click (RFC 8058).
    """

    key: str
    to: str
    subject: str
    text: str
    html: str | None = None
    unsubscribe_url: str | None = None
    sender_name: str | None = None
    reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """One signed message to a company's own system, as Standard Webhooks 1.0 has it.

    `key` is the same for every attempt; `secrets` sign it side by side, the newest first.
    """

    key: str
    url: str
    body: bytes
    secrets: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class DeliveryReceipt:
    """A delivery that was accepted: what the other side said, in at most 255 characters."""

    answer: str
    status: int | None = None


class DeliveryFailedError(JourneyServiceError):
    """A delivery came to nothing; another try may do better, `retry_after` at the earliest if that was asked."""

    code = "delivery-failed"
    title = "The delivery failed"

    def __init__(
        self, reason: str, *, retry_after: timedelta | None = None, status: int | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.status = status


class DeliveryRefusedError(JourneyServiceError):
    """A delivery was refused for good: no retry mends it. `is_gone`: the receiver wants no more of any kind."""

    code = "delivery-refused"
    title = "The delivery was refused"

    def __init__(self, reason: str, *, status: int | None = None, is_gone: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.is_gone = is_gone


class Mailer(Protocol):
    """Whatever takes letters to their readers."""

    async def send(self, email: Email) -> DeliveryReceipt:
        """Hand a letter over. Raises DeliveryFailedError, DeliveryRefusedError."""


class Messenger(Protocol):
    """Whatever takes signed messages to companies' systems."""

    async def send(self, message: WebhookMessage) -> DeliveryReceipt:
        """Hand a message over. Raises DeliveryFailedError, DeliveryRefusedError."""


def retry_delay(attempt: int, chance: float, wish: timedelta | None = None) -> timedelta | None:
    """How long to wait after the failed attempt of this number (from 1); None: that was the last.

    `chance` lies in [0, 1). A receiver's own wish makes the pause longer, never shorter.
    """
    if attempt > len(RETRY_AFTER):
        return None
    pause = RETRY_AFTER[attempt - 1] * (1 + JITTER * chance)
    return pause if wish is None else max(pause, min(wish, MAX_RETRY_AFTER))
