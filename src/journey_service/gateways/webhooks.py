"""Signed webhooks to companies' own systems, as specified by Standard Webhooks 1.0.

The signature covers id, timestamp, and the exact bytes that are sent. The timestamp is that of the attempt, by the
clock of the database: receivers can refuse replays, and a wrong clock of a worker has no effect. The id is that of the
message, so that receivers can recognize a retry. During the rotation of a secret, messages carry signatures of both
secrets.
"""

import base64
import hmac
import re
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import sha256
from importlib.metadata import version
from typing import Final

from journey_service.domain.actions.delivery import (
    DeliveryFailedError,
    DeliveryReceipt,
    DeliveryRefusedError,
    WebhookMessage,
)
from journey_service.gateways.http_client import (
    HttpClient,
    HttpResponse,
    OutgoingFailedError,
    OutgoingRefusedError,
)
from journey_service.gateways.response_text import sanitize_response_text

_SUCCESS_STATUSES: Final = range(200, 300)
_STATUS_GONE: Final = 410
_USER_AGENT: Final = f"journey-service/{version('journey-service')}"
_SECONDS: Final = re.compile(r"\d{1,9}", re.ASCII)


class Webhooks:
    """Sends webhook messages over HTTP. The deadline covers an attempt from name resolution to the last byte."""

    def __init__(self, http_client: HttpClient, deadline_seconds: float = 20.0) -> None:
        self._http_client = http_client
        self._deadline_seconds = deadline_seconds

    async def send(self, message: WebhookMessage) -> DeliveryReceipt:
        """Sends a message. A 2xx status is success, 410 a permanent refusal, any other status a failure to retry.

        Raises DeliveryFailedError, DeliveryRefusedError; their reasons have at most 255 characters.
        """
        if not message.secrets:
            raise DeliveryRefusedError("The endpoint has no secret to sign the message with.")
        now, began = int(message.sent_at.timestamp()), time.monotonic()
        headers = {
            "content-type": "application/json",
            "user-agent": _USER_AGENT,
            "idempotency-key": message.key,
            "webhook-id": message.key,
            "webhook-timestamp": str(now),
            "webhook-signature": _signatures(message, now),
        }
        try:
            response = await self._http_client.send(
                "POST",
                message.url,
                headers=headers,
                content=message.body,
                deadline_seconds=self._deadline_seconds,
            )
        except OutgoingRefusedError as error:
            raise DeliveryRefusedError(sanitize_response_text(str(error))) from error
        except OutgoingFailedError as error:
            raise DeliveryFailedError(sanitize_response_text(str(error))) from error
        return _to_receipt(response, message.sent_at + timedelta(seconds=time.monotonic() - began))


def _signatures(message: WebhookMessage, timestamp: int) -> str:
    signed = f"{message.key}.{timestamp}.".encode() + message.body
    signatures = (
        base64.b64encode(hmac.digest(secret, signed, sha256)).decode() for secret in message.secrets
    )
    return " ".join(f"v1,{signature}" for signature in signatures)


def _to_receipt(response: HttpResponse, now: datetime) -> DeliveryReceipt:
    text = response.body.decode(errors="replace")
    if response.status in _SUCCESS_STATUSES:
        return DeliveryReceipt(sanitize_response_text(text), response.status)
    reason = sanitize_response_text(
        f"The receiver responded {response.status}: {text}" if text else _status_only_reason(response.status)
    )
    if response.status == _STATUS_GONE:
        raise DeliveryRefusedError(reason, status=response.status, is_gone=True)
    raise DeliveryFailedError(reason, retry_after=_retry_after(response, now), status=response.status)


def _status_only_reason(status: int) -> str:
    return f"The receiver responded {status}."


def _retry_after(response: HttpResponse, now: datetime) -> timedelta | None:
    """Returns the delay of a Retry-After header (seconds or a date); None if it is missing, invalid or in the past."""
    value = response.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(value):
        return timedelta(seconds=int(value))
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    until = until.replace(tzinfo=UTC) if until.tzinfo is None else until
    delay = until - now
    return delay if delay > timedelta() else None
