"""Transitions and stage map versions as they are stored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from journey_service.domain.journeys.relationship import (
    Activation,
    Transition,
)


class TransitionRecord(NamedTuple):
    """A row of the transition ledger; `id` and `recorded_at` are assigned by the database."""

    id: int
    transition: Transition
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class MapVersion:
    """A version of the stage map.

    `activated_at` is in the company's time; None: the map that the company was created with. `findings` are the
    linter's findings as JSON.
    """

    version: int
    author: str
    activated_at: datetime | None
    activation: Activation
    notes: str | None
    findings: Sequence[Mapping[str, Any]]
    created_at: datetime


class EnteredStage(NamedTuple):
    """A stage that a customer entered, with the number of the transition and the map version that decided it."""

    seq: int
    to_stage: str
    transitioned_at: datetime
    map_version: int
