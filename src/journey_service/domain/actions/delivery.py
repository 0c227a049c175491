"""Delivery of emails and signed webhook messages: senders, failures, and the retry schedule."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from journey_service.domain.actions.records import StoredEndpoint
from journey_service.domain.actions.stage_actions import MAIL_CHANNELS, Channel
from journey_service.domain.errors import JourneyServiceError

RETRY_AFTER: Final = tuple(
    timedelta(seconds=seconds) for seconds in (5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
)
"""Delays between a failed attempt and the next one (the schedule of Svix). After the last one, no retry follows."""
JITTER: Final = 0.2
"""Largest share by which a delay is randomly extended, so that messages that failed together are spread out."""
MAX_RETRY_AFTER: Final = timedelta(hours=12)
"""Upper limit of the Retry-After time that a receiver requests; a longer one is shortened to it."""
MESSAGE_TYPES: Final[Mapping[Channel, str]] = {
    Channel.SMS: "action.sms",
    Channel.OFFER: "action.special_offer",
    Channel.CRM: "action.crm_update",
}
"""Type of the webhook message by which a company's system receives an action of each channel."""
FAILING_DAYS: Final = 5
"""Days for which an endpoint may fail continuously before it is disabled."""


@dataclass(frozen=True, slots=True)
class Email:
    """Email to one customer. `key` is the same for every attempt; the Message-ID is derived from it.

    `sender_name` is the display name of the service's sender address; replies go to `reply_to`. `unsubscribe_url`
    withdraws the consent of the recipient, by a link or with one click (RFC 8058).
    """

    key: str
    to: str
    subject: str
    text: str
    html: str | None = None
    unsubscribe_url: str | None = None
    sender_name: str | None = None
    reply_to: str | None = None
    sent_at: datetime = field(kw_only=True)
    """Time of the attempt, by the clock of the database."""


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """Signed message to a company's own system, as specified by Standard Webhooks 1.0.

    `key` is the same for every attempt. There is one signature for each of `secrets`, the newest first.
    """

    key: str
    url: str
    body: bytes
    secrets: Sequence[bytes]
    sent_at: datetime = field(kw_only=True)
    """Time of the attempt, by the clock of the database."""


@dataclass(frozen=True, slots=True)
class DeliveryReceipt:
    """Response to an accepted delivery, at most 255 characters of it."""

    response: str
    status: int | None = None


class DeliveryFailedError(JourneyServiceError):
    """The delivery failed and may be retried, not before `retry_after` if the receiver sent one."""

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
    """The delivery was refused permanently. If `is_gone`, the receiver wants no further messages at all."""

    code = "delivery-refused"
    title = "The delivery was refused"

    def __init__(self, reason: str, *, status: int | None = None, is_gone: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.is_gone = is_gone


class Mailer(Protocol):
    """Sends emails."""

    async def send(self, email: Email) -> DeliveryReceipt:
        """Sends one email. Raises DeliveryFailedError, DeliveryRefusedError."""


class Messenger(Protocol):
    """Sends signed webhook messages."""

    async def send(self, message: WebhookMessage) -> DeliveryReceipt:
        """Sends one message. Raises DeliveryFailedError, DeliveryRefusedError."""


def find_closed_channels(endpoints: Iterable[StoredEndpoint], *, has_mailer: bool) -> frozenset[Channel]:
    """Returns the channels without a receiver: no enabled endpoint for their messages, no mail server."""
    received = {type_ for endpoint in endpoints if endpoint.is_enabled for type_ in endpoint.events}
    closed = {channel for channel, type_ in MESSAGE_TYPES.items() if type_ not in received}
    return frozenset(closed if has_mailer else closed.union(MAIL_CHANNELS))


def describe_closed_channel(channel: Channel) -> str:
    """Returns what is missing for a channel without a receiver."""
    if channel in MAIL_CHANNELS:
        return "no mail server is configured"
    return f"no enabled webhook endpoint receives {MESSAGE_TYPES[channel]}"


def retry_delay(attempt: int, chance: float, requested: timedelta | None = None) -> timedelta | None:
    """Returns the delay after the failed attempt of this number (from 1); None after the last one.

    `chance` is a random number in [0, 1). A delay requested by the receiver extends the delay but never shortens it.
    """
    if attempt > len(RETRY_AFTER):
        return None
    delay = RETRY_AFTER[attempt - 1] * (1 + JITTER * chance)
    return delay if requested is None else max(delay, min(requested, MAX_RETRY_AFTER))
