"""Transitions and versions of the stage map as they are stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from journey_service.domain.journeys.relationship import (
    Activation,
    Transition,
)


class TransitionRecord(NamedTuple):
    """A transition as it stands in the ledger. `id` and `recorded_at` are the ledger's own."""

    id: int
    transition: Transition
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class MapVersion:
    """A version of the map, who put it in force, and when in the company's time (None: it was founded with it).

    `findings` are what the linter had to say of it, as JSON.
    """

    version: int
    author: str
    activated_at: datetime | None
    activation: Activation
    notes: str | None
    findings: Sequence[Mapping[str, Any]]
    created_at: datetime
