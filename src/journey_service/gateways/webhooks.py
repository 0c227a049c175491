"""Signed webhooks to companies' own systems, as specified by Standard Webhooks 1.0.

The signature covers id, timestamp, and the exact bytes that are sent. The timestamp is that of the attempt, so that
receivers can refuse replays; the id is that of the message, so that they can recognize a retry. While a secret is being
replaced, both secrets sign.
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

_OK: Final = range(200, 300)
_STATUS_GONE: Final = 410
_USER_AGENT: Final = f"journey-service/{version('journey-service')}"
_SECONDS: Final = re.compile(r"\d{1,9}", re.ASCII)


class Webhooks:
    """Messenger over HTTP. The deadline covers a whole attempt, from name resolution to the last byte."""

    def __init__(self, outgoing: HttpClient, deadline_seconds: float = 20.0) -> None:
        self._outgoing = outgoing
        self._deadline_seconds = deadline_seconds

    async def send(self, message: WebhookMessage) -> DeliveryReceipt:
        """Sends a message: 2xx accepts it, 410 is a permanent refusal, any other status may be retried.

        Raises DeliveryFailedError, DeliveryRefusedError; their reasons are lines of at most 255 characters.
        """
        if not message.secrets:
            raise DeliveryRefusedError("The endpoint has no secret to sign the message with.")
        now = int(time.time())
        headers = {
            "content-type": "application/json",
            "user-agent": _USER_AGENT,
            "idempotency-key": message.key,
            "webhook-id": message.key,
            "webhook-timestamp": str(now),
            "webhook-signature": _signatures(message, now),
        }
        try:
            answer = await self._outgoing.send(
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
        return _judged(answer)


def _signatures(message: WebhookMessage, timestamp: int) -> str:
    signed = f"{message.key}.{timestamp}.".encode() + message.body
    made = (base64.b64encode(hmac.digest(secret, signed, sha256)).decode() for secret in message.secrets)
    return " ".join(f"v1,{signature}" for signature in made)


def _judged(answer: HttpResponse) -> DeliveryReceipt:
    said = answer.body.decode(errors="replace")
    if answer.status in _OK:
        return DeliveryReceipt(sanitize_response_text(said), answer.status)
    reason = sanitize_response_text(
        f"The receiver responded {answer.status}: {said}" if said else _status_only_reason(answer.status)
    )
    if answer.status == _STATUS_GONE:
        raise DeliveryRefusedError(reason, status=answer.status, is_gone=True)
    raise DeliveryFailedError(reason, retry_after=_retry_after(answer), status=answer.status)


def _status_only_reason(status: int) -> str:
    return f"The receiver responded {status}."


def _retry_after(answer: HttpResponse) -> timedelta | None:
    """Returns the delay in seconds of a Retry-After header (seconds or a date); None if it is missing or invalid."""
    told = answer.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(told):
        return timedelta(seconds=int(told))
    try:
        until = parsedate_to_datetime(told)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    until = until.replace(tzinfo=UTC) if until.tzinfo is None else until
    wish = until - datetime.fromtimestamp(time.time(), UTC)
    return wish if wish > timedelta() else None
