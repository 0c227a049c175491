"""Messages that the service sends to webhook endpoints, for the contract."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel


@dataclass(frozen=True, slots=True)
class WebhookMessage:
    """A kind of message: its type, its summary and description, and the schema of its body."""

    event_type: str
    summary: str
    description: str
    payload: type[BaseModel]


MESSAGES: Final[Sequence[WebhookMessage]] = ()
"""Every kind of message, in the order of the contract."""
